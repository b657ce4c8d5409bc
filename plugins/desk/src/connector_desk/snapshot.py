"""What Stitch's page says of this integration, and what it therefore does not let a configuration choose
(facts/stitch_desk_page.txt)."""

from __future__ import annotations

from typing import Final

SNAPSHOT: Final = {
    "Stitch": {
        "Release status": "Released on October 15, 2015",
        "Supported by": "Stitch",
        "Stitch plan": "Standard",
        "API availability": "Not available",
        "Singer GitHub repository": "Not applicable",
    },
    "Replication settings": {
        "Anchor Scheduling": "Supported",
        "Advanced Scheduling": "Unsupported",
        "Table-level reset": "Unsupported",
        "Configurable Replication Methods": "Unsupported",
    },
    "Data selection": {
        "Table selection": "Unsupported",
        "Column selection": "Unsupported",
        "Select all": "Unsupported",
    },
    "Transparency": {
        "Extraction Logs": "Supported",
        "Loading Reports": "Supported",
    },
}

FIXED: Final = {
    "cron": "Desk 15-10-2015 does not support Advanced Scheduling; use frequency, with anchor_time if you like",
    "streams": (
        "Desk 15-10-2015 does not support table selection, column selection or configurable replication methods; "
        "for a single run there is connector-core run --select"
    ),
}
