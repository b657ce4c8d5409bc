"""REST sources without code of their own: declare a `RestSource`, its streams, and how their lists go on."""

from connector_core.rest.addresses import site
from connector_core.rest.auth import (
    Auth,
    Basic,
    Bearer,
    ClientCredentials,
    HeaderKey,
    OAuth1,
    QueryKey,
)
from connector_core.rest.bounds import Since, Until
from connector_core.rest.paginators import (
    Cursor,
    Keyset,
    LinkHeader,
    NextLink,
    Offset,
    PageNumber,
    Paginator,
)
from connector_core.rest.rates import RateFigure, RateHeaders
from connector_core.rest.retries import Retry
from connector_core.rest.schemas import fields
from connector_core.rest.source import Client, RestSource
from connector_core.rest.streams import Asking, RestStream
from connector_core.rest.transport import Answer
from connector_core.rest.walk import Walk
from connector_core.rest.wire import Limits

__all__ = [
    "Answer",
    "Asking",
    "Auth",
    "Basic",
    "Bearer",
    "Client",
    "ClientCredentials",
    "Cursor",
    "HeaderKey",
    "Keyset",
    "Limits",
    "LinkHeader",
    "NextLink",
    "OAuth1",
    "Offset",
    "PageNumber",
    "Paginator",
    "QueryKey",
    "RateFigure",
    "RateHeaders",
    "RestSource",
    "RestStream",
    "Retry",
    "Since",
    "Until",
    "Walk",
    "fields",
    "site",
]
