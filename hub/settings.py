"""Every knob. The table in guide/operator.md lists them all; a test compares the two."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis.connection import ConnectionPool

from hub.errors import NotTheHub
from hub.values import (
    DAY,
    YEAR,
    Addresses,
    Algorithms,
    InAnyCase,
    IssuerUrl,
    Network,
    Ports,
    PrivateEndpoints,
    RedisUrl,
    SecretsKey,
    Texts,
    Token,
    Url,
    UrlOrNothing,
    Waits,
    WebhookSecret,
    WebhookUrl,
    is_network,
)
from subscriptions.audit import Level


class Settings(BaseSettings):
    """
    Environment variables `HUB_<NAME>`. Read once, in the root of a process, and handed down.

    Each field's description is: unit, then what follows from the value. Errors begin with "should be". What has
    `repr=False` holds a secret and is not shown.
    """

    model_config = SettingsConfigDict(env_prefix="HUB_", frozen=True, allow_inf_nan=False)

    redis_url: RedisUrl = Field(
        "",
        repr=False,
        description="URL of the Redis that holds everything. Empty: `hub serve` runs its own.",
    )
    rq_redis_url: RedisUrl = Field(
        "",
        repr=False,
        description="URL of the Redis that carries RQ's jobs. Empty: the same. RQ can't use a Cluster.",
    )
    redis_cluster: bool = Field(False, description="The Redis at `HUB_REDIS_URL` is a Cluster.")
    data_dir: Path = Field(
        Path("data"),
        description="Directory. Where `hub serve` keeps its Redis' files, and"
        " every part a mark by which it notices that Redis has lost something.",
    )
    base_url: UrlOrNothing = Field(
        "",
        description="URL before `/fhir`, as seen from outside; stands in every reference. Empty: the address of"
        " `hub serve`; single parts need it.",
    )
    canonical_base: Url = Field(
        "https://fhir-event-hub.example",
        description="URL. Prefix of the built-in topics' canonicals. Fixed at first start.",
    )
    partitions: int = Field(
        4,
        ge=1,
        le=64,
        description="Count. Changes of one resource stay in order in one of them. Fixed at first start.",
    )
    allow_volatile_redis: bool = Field(
        False, description="Accept a Redis that may forget what it confirmed; `/readyz` then says so."
    )
    durability_attested: bool = Field(
        False,
        description="The operator vouches for the durability of a managed Redis whose settings can't be read.",
    )

    log_level: Annotated[Literal["debug", "info", "warning", "error"], InAnyCase] = Field(
        "info", description="`debug`, `info`, `warning` or `error`. One JSON line per step on stderr."
    )
    traces: Annotated[Literal["off", "otlp"], InAnyCase] = Field(
        "off",
        description="`off`, or `otlp`: each trip is one OpenTelemetry trace, sent by OTLP over HTTP to the collector at"
        " `OTEL_EXPORTER_OTLP_ENDPOINT`; `traceparent` is taken up from publishers and handed to subscribers.",
    )
    max_memory_percent: float = Field(
        80,
        gt=0,
        le=100,
        description="Percent of the memory that Redis may have, from which on whatever stores more gets 503 with"
        " `Retry-After`. Deliveries go on.",
    )
    max_memory_bytes: int = Field(
        0,
        ge=0,
        description="Bytes that Redis may have, where it has no `maxmemory`. 0: all of its machine, which is too much"
        " where other things run on it, or in a container with a limit.",
    )
    max_match_lag: float = Field(
        300,
        gt=0,
        le=YEAR,
        description="Seconds. When the oldest change that is not matched is older, whatever stores more gets 503 with"
        " `Retry-After` until matching has caught up.",
    )
    max_unmatched: int = Field(
        100_000,
        gt=0,
        description="Count. When so many changes are not matched, whatever stores more gets 503 with `Retry-After`:"
        " each may become an event for every subscription.",
    )

    max_body_bytes: int = Field(
        5_000_000,
        gt=0,
        description="Bytes, unpacked. A larger request gets 413; nor are there more of resources in a notification of"
        " several events.",
    )
    max_header_bytes: int = Field(
        32_768,
        ge=1_024,
        description="Bytes of a request line and its headers. Larger ones get 431.",
    )
    header_timeout: float = Field(
        10,
        gt=0,
        le=DAY,
        description="Seconds that the head of a request may take, and a new connection to begin with one. Then 408.",
    )
    body_timeout: float = Field(
        60,
        gt=0,
        le=DAY,
        description="Seconds that a body may take, from the end of its head, and a client to take an answer. Then 408,"
        " or the connection is closed.",
    )
    keep_alive: float = Field(
        5,
        gt=0,
        le=DAY,
        description="Seconds for which a connection is kept between requests. Longer than that of a reverse proxy's"
        " pool, if there is one.",
    )
    max_connections: int = Field(
        512,
        gt=0,
        description="Count. Connections of one api process. One more has the longest idle or incomplete one closed; it"
        " gets 503 itself when all others are being answered.",
    )
    rate: float = Field(
        0,
        ge=0,
        description="Requests per second of one client and api process, with `HUB_AUTH=none` of one address; each entry"
        " of a Bundle counts, and every 50 kB of a body. More get 429 with `Retry-After`. 0: no limit.",
    )
    rate_burst: int = Field(100, gt=0, description="Count. Requests that may be saved up for that.")
    rate_unknown: float = Field(
        10,
        ge=0,
        description="Requests per second and address that are answered with 401, saved up for 10 s; more get 429 in"
        " place of it. 0: no limit.",
    )
    max_nesting: int = Field(64, gt=0, description="Levels of JSON. A deeper body gets 400.")
    max_bundle_entries: int = Field(
        1_000, gt=0, description="Count. A batch or transaction with more entries gets 413."
    )
    max_page: int = Field(500, gt=0, description="Count. The largest `_count` that a search page has.")
    max_backlog: int = Field(
        1_000_000,
        gt=0,
        description="Count. Events that may wait to be sent to one subscription; what is beyond is numbered and"
        " dropped, and the subscription is in `error`.",
    )
    retention_days: float = Field(
        14,
        gt=0,
        le=3650,
        description="Days that events, changes and superseded versions are kept; events that could not be sent are"
        " then dropped, and counted.",
    )
    retention_bytes: int = Field(
        0,
        ge=0,
        description="Bytes of superseded versions, changes and events beyond which the oldest are removed earlier."
        " 0: no limit.",
    )
    max_search_scan: int = Field(
        10_000,
        gt=0,
        description="Count. Resources that one search page looks at; then it ends, says so and links to the next.",
    )
    max_scanned: int = Field(
        1_000,
        gt=0,
        description="Count. Subscriptions on one topic and type whose filters (`:not`, `ne`) can't be looked up, so"
        " that each change is held against all of them; one more is refused.",
    )
    max_scanned_of_client: int = Field(
        100,
        gt=0,
        description="Count. How many of these one client may have, where clients are told apart.",
    )
    max_subscriptions: int = Field(
        10_000,
        ge=0,
        description="Count. Subscriptions of one client that are not `off`, where clients are told apart; one more is"
        " refused. 0: no limit.",
    )

    match_batch: int = Field(
        256, gt=0, description="Count. Changes that are matched between two writes of the progress."
    )
    deliver_lanes: int = Field(300, gt=0, description="Count. Subscriptions that one deliver worker serves at once.")
    pump_seconds: float = Field(
        60, gt=0, le=DAY, description="Seconds. How long one RQ job pumps before its successor takes over."
    )
    request_timeout: float = Field(
        20,
        gt=0,
        le=DAY,
        description="Seconds. Overall deadline of one notification attempt, unless the Subscription asks for less.",
    )
    origin_slots: int = Field(
        64,
        gt=1,
        description="Count. Requests at once to one origin and deliver worker; slow or failing ones hold at most half.",
    )
    handshake_delay: float = Field(
        1.0, ge=0, le=DAY, description="Seconds between the 201 of a Subscription and its handshake."
    )
    retry_waits: Waits = Field(
        (1, 5, 30, 120, 600, 1800, 3600, 7200, 14400, 21600, 43200, 43200, 43200, 43200, 43200),
        description="Seconds, comma-separated. n waits are n + 1 attempts; then the subscription is in `error`.",
    )

    topics_dir: Path | None = Field(
        None,
        description="Directory. JSON files of topics (SubscriptionTopic of R4B or R5, Basic), ValueSets and"
        " CodeSystems, or Bundles of them, that the api stores when it starts, for the default tenant; a bad one stops"
        " it. A file that goes away leaves its topic: delete that by REST. One that a client has published under"
        " another id keeps that. Empty: none.",
    )
    allow_chained_filters: bool = Field(
        False,
        description="Accept filters and searches that look at other resources, as `patient.identifier` and `_has` do:"
        " each change may then cost reads of these. Rosters (`_in`) are always accepted.",
    )
    legacy_style: Literal["r4", "medplum"] = Field(
        "r4",
        description="`r4` or `medplum`. How Subscriptions are told whose criteria are a search: by PUT of the resource"
        " or an empty POST, or by POST of the resource. Those that are registered keep their style.",
    )
    allow_http_endpoints: bool = Field(
        False,
        description="Accept `http://` endpoints. Notifications then travel readable by anybody on the way.",
    )
    allow_private_endpoints: bool = Field(
        False,
        description="Accept endpoints on loopback and private addresses: for development. Metadata services and the"
        " hub's own addresses stay refused.",
    )
    private_endpoints: PrivateEndpoints = Field(
        (), description="CIDRs and host names, comma-separated, that are allowed although private."
    )
    endpoint_ports: Ports = Field(
        (443, 8443), description="Ports, comma-separated. Not applied to allowed private addresses."
    )
    own_addresses: Addresses = Field(
        (),
        description="`host:port`, comma-separated: where else the hub's api or Redis listen. Refused as endpoints"
        " whatever is allowed, like those in `HUB_REDIS_URL`, `HUB_RQ_REDIS_URL`, `HUB_BASE_URL` and of `hub serve`.",
    )
    endpoint_ca_file: Path | None = Field(
        None,
        description="File. PEM of authorities that may vouch for endpoints, beside those that the system trusts.",
    )
    metrics_token: Token = Field(
        "",
        repr=False,
        description="16 or more characters. Whoever sends it as `Authorization: Bearer` may read `/metrics`, and"
        " nothing else. Empty: where callers are told apart, only operators may.",
    )
    secrets_key: SecretsKey = Field(
        "",
        repr=False,
        description="Keys of 32 bytes in base64, comma-separated: the first one seals the secrets in Redis, all of them"
        " open. Empty, and no file: `hub serve` makes one in its data directory; single parts keep no secrets, and"
        " refuse Subscriptions with headers.",
    )
    secrets_key_file: Path | None = Field(
        None, description="File. More such keys, one a line, behind those of `HUB_SECRETS_KEY`."
    )
    encrypt_bodies: bool = Field(
        False,
        description="`true` seals the bodies of resources in Redis from then on, and what identifiers are found by,"
        " with a key that `HUB_SECRETS_KEY` seals. The same for all parts: one without it reads none of them.",
    )

    alert_url: WebhookUrl = Field(
        "",
        repr=False,
        description="URL that is POSTed to when a Subscription fails, recovers, ends or loses events. Its host may be"
        " private. Empty: nobody but the owners is told.",
    )
    alert_secret: WebhookSecret = Field(
        "",
        repr=False,
        description="`whsec_` and 24 to 64 bytes in base64: what is POSTed there is signed by Standard Webhooks. Empty:"
        " it is not.",
    )

    audit: Annotated[Level, InAnyCase] = Field(
        Level.RIGHTS,
        description="How much the [audit](#audit) has: `off`, `rights`, `notifications` or `all`.",
    )
    audit_days: float = Field(
        365, gt=0, le=36500, description="Days that entries of the audit are kept. Nothing else removes one."
    )
    audit_entries: int = Field(
        1_000_000,
        gt=0,
        description="Count. When a tenant's audit has so many entries, those of notifications, suppressions, refusals"
        " and of `all` are left out and counted, until older ones have gone; `/readyz` says so. The others never are.",
    )

    honour_consent: bool = Field(
        False,
        description="Notify nobody of what a patient's [Consents](#confidentiality) deny him. What is denied and"
        " can't be evaluated counts as denied.",
    )
    tls_certificate: Path | None = Field(
        None,
        description="File. PEM of the hub's own certificate and its chain: the api then speaks TLS 1.2 and 1.3, and"
        " nothing else. Another file in its place is taken within seconds.",
    )
    tls_key: Path | None = Field(
        None, description="File. PEM of the key to it, without a password. Empty: it is in the same file."
    )

    auth: Annotated[Literal["none", "keys", "smart"], InAnyCase] = Field(
        "none",
        description="`none`: everybody who reaches the hub may do everything. `keys`: clients have API keys (`hub"
        " keys`). `smart`: they have tokens of SMART Backend Services.",
    )
    allow_open: bool = Field(False, description="Serve without authentication on an address other than loopback.")
    smart_issuer: IssuerUrl = Field(
        "",
        description="URL of whoever issues tokens, exactly as they have it in `iss`. Its address may be private. https,"
        " but for loopback, like all of its URLs; `HUB_ENDPOINT_CA_FILE` counts for it too.",
    )
    smart_jwks_url: IssuerUrl = Field(
        "",
        description="URL of its public keys. Empty: the one in its discovery document, by OpenID Connect or RFC 8414.",
    )
    smart_token_url: IssuerUrl = Field(
        "",
        description="URL where clients get tokens, for `/.well-known/smart-configuration`. Empty: the one in its"
        " discovery document.",
    )
    smart_audience: Texts = Field(
        (),
        description="What tokens have in `aud`, comma-separated: any of it. Empty: `HUB_BASE_URL`, or a FHIR base below"
        " it.",
    )
    smart_algorithms: Algorithms = Field(
        ("RS384", "ES384"),
        description="Algorithms that tokens may be signed with, comma-separated: `RS`, `PS` or `ES` with `256`,"
        " `384` or `512`, or `EdDSA`.",
    )

    @model_validator(mode="after")
    def _whole_cluster(self) -> Self:
        if self.redis_cluster and (lacking := self._lacks_for_cluster()):
            raise ValueError(f"HUB_REDIS_CLUSTER=true needs {lacking}")
        return self

    @model_validator(mode="after")
    def _whole_smart(self) -> Self:
        if self.auth == "smart" and not self.smart_issuer:
            raise ValueError("HUB_AUTH=smart needs HUB_SMART_ISSUER: the URL of whoever issues tokens")
        if self.auth == "smart" and self.smart_jwks_url and not self.smart_token_url:
            raise ValueError("HUB_SMART_JWKS_URL needs HUB_SMART_TOKEN_URL: no discovery document is asked for then")
        if self.auth == "smart" and not self.smart_algorithms:
            raise ValueError("HUB_AUTH=smart needs HUB_SMART_ALGORITHMS: at least one algorithm")
        return self

    def _lacks_for_cluster(self) -> str:
        if not self.redis_url:
            return "HUB_REDIS_URL: the Redis that `hub serve` runs itself is no Cluster"
        if self.redis_url.startswith("unix:"):
            return "a host in HUB_REDIS_URL: a Cluster can't be reached by a Unix socket"
        if ConnectionPool.from_url(self.redis_url).connection_kwargs.get("db"):
            return "database 0 in HUB_REDIS_URL: a Cluster has no other"
        return "" if self.rq_redis_url else "HUB_RQ_REDIS_URL: RQ can't use a Cluster, give it a Redis of its own"

    @property
    def shared_redis_url(self) -> str:
        """`redis_url`, for a part that runs alone. Raises NotTheHub if there is none."""
        if not self.redis_url:
            raise NotTheHub("HUB_REDIS_URL is not set: single parts need the URL of the Redis that they share")
        return self.redis_url

    @property
    def private_networks(self) -> tuple[Network, ...]:
        """The CIDRs among `private_endpoints`."""
        return tuple(ip_network(entry) for entry in self.private_endpoints if is_network(entry))

    @property
    def private_hosts(self) -> frozenset[str]:
        """The host names among `private_endpoints`, lower case."""
        return frozenset(entry.lower() for entry in self.private_endpoints if not is_network(entry))
