"""What people write to support, and what support answers, in eighteen languages: Latin with and without accents, Greek,
Cyrillic, right-to-left, scripts without blanks, and scripts whose letters are put together from several characters."""

# ruff: noqa: RUF001 - letters of other scripts look like Latin ones

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Voice:
    """One language. ``issues``: (subject, first sentence) of a case; ``details``: further sentences of the customer;
    ``answers``: sentences of an agent; ``greeting`` and ``closing`` stand around both."""

    greeting: str
    issues: tuple[tuple[str, str], ...]
    details: tuple[str, ...]
    answers: tuple[str, ...]
    closing: str


VOICES: Final[dict[str, Voice]] = {
    "en": Voice(
        greeting="Hello,",
        issues=(
            ("Parcel missing", "My parcel has not arrived, although it was sent nine days ago."),
            ("Can't log in", "Since this morning I cannot log in any more."),
            ("Refund for order", "I sent the shoes back and would like my money, please."),
        ),
        details=(
            "The tracking page says “delivered”, but nobody rang.",
            "I have tried it on two computers and a phone.",
            "Please call me before noon 📞.",
        ),
        answers=(
            "Thank you for writing; we are looking into it.",
            "We have sent you a new one today, free of charge.",
            "Could you send us a screenshot of the message?",
        ),
        closing="Kind regards",
    ),
    "de": Voice(
        greeting="Guten Tag,",
        issues=(
            ("Rechnung falsch", "auf der Rechnung stehen 1.234,56 € statt 234,56 €."),
            ("Lieferung beschädigt", "die Schüssel kam mit einem großen Sprung an."),
            ("Kündigung", "hiermit kündige ich mein Abonnement fristgemäß zum Monatsende."),
        ),
        details=(
            "Ich habe schon zweimal gezahlt – bitte prüfen Sie das.",
            "Fotos hänge ich gern an.",
            "Ihre Hotline ist leider dauernd besetzt.",
        ),
        answers=(
            "vielen Dank für Ihre Nachricht, wir kümmern uns darum.",
            "wir haben Ihnen den Betrag heute erstattet.",
            "könnten Sie uns bitte die Größe nennen?",
        ),
        closing="Mit freundlichen Grüßen",
    ),
    "sv": Voice(
        greeting="Hej!",
        issues=(
            ("Fel storlek", "Jag beställde storlek 39 men fick 42."),
            ("Var är paketet?", "Paketet skulle ha kommit till Åmål i fredags."),
        ),
        details=("Går det att byta i butiken?", "Spårningen har stått still sedan i måndags."),
        answers=(
            "Tack för att du hör av dig!",
            "Vi skickar en ny i dag, utan kostnad.",
            "Hälsa gärna din granne också.",
        ),
        closing="Vänliga hälsningar",
    ),
    "fr": Voice(
        greeting="Bonjour,",
        issues=(
            ("Colis non reçu", "Je n’ai toujours pas reçu ma commande passée à Noël."),
            ("Mot de passe oublié", "Le lien pour changer mon mot de passe a déjà expiré."),
        ),
        details=("Où en est-on ?", "C’est la troisième fois que j’écris à ce sujet."),
        answers=("Nous vous présentons nos excuses.", "Le colis est reparti ce matin ; voici le numéro de suivi."),
        closing="Bien cordialement",
    ),
    "es": Voice(
        greeting="¡Hola!",
        issues=(
            ("No puedo iniciar sesión", "Desde ayer no puedo entrar en mi cuenta; ¿qué debo hacer?"),
            ("Devolución", "Quiero devolver el pedido del 5 de enero."),
        ),
        details=("He probado con otro navegador.", "Mi código postal es 28013, no 28031."),
        answers=("Gracias por avisarnos, señora Peña.", "Le hemos enviado una etiqueta de devolución."),
        closing="Un saludo",
    ),
    "pt_br": Voice(
        greeting="Olá,",
        issues=(
            ("Reembolso urgente", "Cancelei a assinatura, mas a cobrança veio de novo."),
            ("Produto errado", "Recebi a cor errada: pedi verde-limão."),
        ),
        details=("Já faz três semanas que espero. 😕", "O número do pedido está na nota fiscal."),
        answers=("Sentimos muito pelo transtorno.", "O estorno aparece em até dois dias úteis."),
        closing="Atenciosamente",
    ),
    "pl": Voice(
        greeting="Dzień dobry,",
        issues=(
            ("Zły rozmiar", "zamówiłem łóżko 140×200, a przyszło 90×200."),
            ("Faktura", "proszę o fakturę VAT za zamówienie z grudnia."),
        ),
        details=("Paczka była źle zapakowana.", "Proszę o odpowiedź jeszcze dziś."),
        answers=("Dziękujemy za wiadomość.", "Wymienimy produkt na nasz koszt."),
        closing="Z poważaniem",
    ),
    "tr": Voice(
        greeting="Merhaba,",
        issues=(
            ("Sipariş gelmedi", "Siparişim İzmir’e on gündür ulaşmadı."),
            ("İade", "Ürünü iade etmek istiyorum, ışığı yanmıyor."),
        ),
        details=("Kargo şirketi bilgi vermiyor.", "Lütfen en kısa sürede dönüş yapın."),
        answers=("Bildirdiğiniz için teşekkür ederiz.", "Yeni ürünü bugün yola çıkardık."),
        closing="İyi günler",
    ),
    "el": Voice(
        greeting="Καλησπέρα,",
        issues=(
            ("Λάθος χρέωση", "χρεώθηκα δύο φορές για την ίδια παραγγελία."),
            ("Καθυστέρηση", "το δέμα δεν έχει φτάσει ακόμα στη Θεσσαλονίκη."),
        ),
        details=("Περιμένω την απάντησή σας.", "Έχω ήδη τηλεφωνήσει τρεις φορές."),
        answers=("Ευχαριστούμε για το μήνυμα.", "Το ποσό σας επιστράφηκε σήμερα."),
        closing="Με εκτίμηση",
    ),
    "ru": Voice(
        greeting="Здравствуйте!",
        issues=(
            ("Проблема с заказом", "Товар пришёл повреждённым, коробка была вскрыта."),
            ("Не приходит код", "Код подтверждения не приходит уже второй день."),
        ),
        details=("Фотографии приложу отдельно.", "Номер телефона не менялся."),
        answers=("Спасибо за обращение, мы всё проверим.", "Мы отправили вам новый товар сегодня."),
        closing="С уважением",
    ),
    "ar": Voice(
        greeting="السلام عليكم،",
        issues=(
            ("طلب استرجاع", "لم يصل الطلب رقم 4711 حتى الآن، أرجو المساعدة."),
            ("مشكلة في الدفع", "خُصم المبلغ مرتين من بطاقتي (٢٥٠ ريالاً)."),
        ),
        details=("أرسلت لكم صورة الفاتورة أمس.", "متى يصل الرد؟"),
        answers=("شكراً لتواصلكم معنا.", "أعدنا المبلغ إلى بطاقتكم اليوم ✅."),
        closing="مع أطيب التحيات",
    ),
    "he": Voice(
        greeting="שלום רב,",
        issues=(
            ("המוצר לא הגיע", "הזמנתי ספר לפני שבועיים והוא עדיין לא הגיע."),
            ("חיוב כפול", "חויבתי פעמיים על הזמנה A-77, אנא בדקו."),
        ),
        details=("מספר המעקב אינו מוכר במערכת.", "אשמח לתשובה עוד היום."),
        answers=("תודה על הפנייה, אנו בודקים.", "שלחנו לכם מוצר חדש ללא תשלום."),
        closing="בברכה",
    ),
    "ja": Voice(
        greeting="お世話になっております。",
        issues=(
            ("返品について", "注文した商品がまだ届いていません。ご確認をお願いします。"),
            ("ログインできません", "パスワードを変更してもログインできません。"),
        ),
        details=("注文番号は「Ａ－７７」です。", "半角ｶﾅで入力しました。", "𠮷田と申します。"),
        answers=("ご連絡ありがとうございます。", "本日、代わりの商品を発送いたしました。"),
        closing="よろしくお願いいたします。",
    ),
    "zh_cn": Voice(
        greeting="您好，",
        issues=(
            ("快递丢失", "我的包裹显示已签收，但我没有收到。"),
            ("申请退款", "商品有质量问题，申请退款￥128.00。"),
        ),
        details=("照片稍后发给您。", "请尽快处理，谢谢！"),
        answers=("感谢您的反馈，我们正在核实。", "退款已于今天退回原支付方式。"),
        closing="祝好",
    ),
    "ko": Voice(
        greeting="안녕하세요.",
        issues=(
            ("배송 지연", "주문한 상품이 아직 도착하지 않았습니다."),
            ("환불 요청", "사이즈가 맞지 않아 환불을 요청합니다."),
        ),
        details=("송장 번호가 조회되지 않아요 ㅠㅠ", "빠른 답변 부탁드립니다."),
        answers=("불편을 드려 죄송합니다.", "오늘 새 상품을 발송했습니다."),
        closing="감사합니다.",
    ),
    "hi": Voice(
        greeting="नमस्ते,",
        issues=(
            ("पार्सल नहीं मिला", "मेरा ऑर्डर दस दिन से नहीं पहुँचा है।"),
            ("रिफ़ंड", "कृपया मेरे ₹499 वापस कर दीजिए।"),
        ),
        details=("फ़ोन नंबर वही है, स्थिति कृपया बताइए।", "क्षमा करें, मैंने दो बार लिखा।"),
        answers=("संदेश के लिए धन्यवाद।", "हमने आज नया उत्पाद भेज दिया है।"),
        closing="सादर",
    ),
    "th": Voice(
        greeting="สวัสดีค่ะ",
        issues=(
            ("ยังไม่ได้รับสินค้า", "สั่งของไปตั้งแต่วันที่ ๕ แต่ยังไม่ได้รับเลยค่ะ"),
            ("ขอคืนเงิน", "สินค้าชำรุด ขอคืนเงินด้วยค่ะ"),
        ),
        details=("เบอร์โทรเดิมนะคะ", "ที่อยู่ถูกต้องแล้ว"),
        answers=("ขอบคุณที่ติดต่อเรา", "เราส่งสินค้าชิ้นใหม่ให้แล้ววันนี้"),
        closing="ขอบคุณค่ะ",
    ),
    "vi": Voice(
        greeting="Xin chào,",
        issues=(
            # the same words composed and taken apart (NFC, NFD): they look alike and are different texts
            ("Giao h\u00e0ng tr\u1ec5", "Đơn hàng của tôi vẫn chưa được giao."),
            ("Giao ha\u0300ng tre\u0302\u0303", "Đơn ha\u0300ng cu\u0309a tôi vẫn chưa được giao."),
        ),
        details=("Tôi đã gọi điện nhưng không ai nghe máy.", "Địa chỉ là 12 Nguyễn Huệ."),
        answers=("Cảm ơn anh đã phản hồi.", "Chúng tôi đã gửi lại hàng hôm nay."),
        closing="Trân trọng",
    ),
}

# Codes as the wire has them, with null and the spellings of facts/desk_api.md section 7.1; English is the commonest.
LANGUAGES: Final = (None, None, *("en",) * 6, "en_us", "en_us", *(("de",) * 3), *VOICES)


def voice(language: str | None) -> Voice:
    """The voice of a language code; English for none."""
    return VOICES.get(language or "en") or VOICES["en"]
