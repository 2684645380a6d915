"""`docker-compose.yml` and `Dockerfile` agree with the settings and commands that exist."""

import re
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis

from hub.cli import parse
from hub.cli.embedded import SETTINGS, find
from hub.cli.parts import tied
from hub.settings import Settings
from tests.facts import until

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "hub" / "monitoring"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
HUB = [name for name, service in SERVICES.items() if service["image"].startswith("fhir-event-hub")]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def default(value: str) -> str:
    """What compose makes of `${NAME:-default}` when NAME isn't set."""
    return re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value)


def environment(service: str) -> dict[str, str]:
    """What is set when nothing is set outside: a name without a value is passed on only if it has one there."""
    return {name: default(value) for name, value in SERVICES[service]["environment"].items() if value is not None}


def test_parts() -> None:
    """It runs every part that `hub serve` runs, each alone, and one Redis."""
    commands = {" ".join(SERVICES[name]["command"][:2]).partition(" -")[0] for name in HUB}
    assert commands == {"api", "worker match", "worker deliver", "clock"}
    profiles = {name: service.get("profiles", []) for name, service in SERVICES.items() if name not in HUB}
    assert profiles == {"redis": [], "prometheus": ["monitoring"], "grafana": ["monitoring"]}


@pytest.mark.parametrize("service", HUB)
def test_commands(service: str) -> None:
    """Its command, its healthcheck and `recover` in its place are command lines that the hub understands."""
    parse(["recover"])
    parse(SERVICES[service]["command"])
    match SERVICES[service]["healthcheck"]["test"]:
        case ["CMD", "hub", *check]:
            parse(check)
        case ["CMD", "python", "-c", program]:
            compile(program, "healthcheck", "exec")
        case other:
            pytest.fail(f"an unknown kind of healthcheck: {other}")


@pytest.mark.parametrize("service", HUB)
def test_environment(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variable is one of the settings, with a value that it takes; nothing that a part needs is missing."""
    variables = environment(service)
    ours = {name.removeprefix("HUB_").lower() for name in variables if not name.startswith("OTEL_")}
    assert ours <= Settings.model_fields.keys()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.redis_url == "redis://redis:6379/0"
    assert settings.base_url == "http://127.0.0.1:8000"
    assert not settings.allow_volatile_redis


@pytest.mark.parametrize("service", HUB)
def test_settings_are_passed_on(service: str) -> None:
    """Each one that isn't about the Redis that is here can be set from outside, and no default is repeated."""
    given = SERVICES[service]["environment"]
    of_redis = {"redis_url", "rq_redis_url", "redis_cluster", "allow_volatile_redis", "durability_attested"}
    ours = {"data_dir", "base_url", "allow_open", "own_addresses"}
    assert {name for name, value in given.items() if value is None and not name.startswith("OTEL_")} == {
        f"HUB_{name.upper()}" for name in Settings.model_fields.keys() - of_redis - ours
    }


@pytest.mark.parametrize("service", SERVICES)
def test_hardened(service: str) -> None:
    """Each part is an ordinary user on a read-only file system, without privileges, restarted and watched."""
    part = SERVICES[service]
    assert int(part["user"].partition(":")[0]) > 0
    assert part["read_only"] is True
    assert part["tmpfs"] == ["/tmp"]  # noqa: S108 - in the container
    assert part["cap_drop"] == ["ALL"]
    assert part["security_opt"] == ["no-new-privileges:true"]
    assert part["restart"] == "unless-stopped"
    assert part["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("service", HUB)
def test_order(service: str) -> None:
    """The hub's parts wait for a Redis that answers."""
    assert SERVICES[service]["depends_on"] == {"redis": {"condition": "service_healthy"}}


def test_ports() -> None:
    """The api and what monitors it are published, on loopback only: the hub is open to whoever reaches it."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {
        "api": ["127.0.0.1:8000:8000"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }
    assert environment("api")["HUB_ALLOW_OPEN"] == "true"


def test_volumes() -> None:
    """What must outlive a container is on a named volume: Redis' data, and what tells that they are the same still."""
    assert SERVICES["redis"]["volumes"] == ["redis:/data"]
    for service in HUB:
        assert SERVICES[service]["volumes"] == [f"hub:{environment(service)['HUB_DATA_DIR']}"]
    assert COMPOSE["volumes"].keys() == {"redis", "hub", "prometheus", "grafana"}


def test_monitoring() -> None:
    """What Prometheus and Grafana are told to read is there, and the hub is where Prometheus looks for it."""
    for service in ("prometheus", "grafana"):
        assert SERVICES[service]["volumes"][0] == "./hub/monitoring:/etc/hub:ro"

    def there(path: str) -> Path:
        return MONITORING / path.removeprefix("/etc/hub/")

    config = yaml.safe_load(there(SERVICES["prometheus"]["command"][0].partition("=")[2]).read_text())
    assert all((MONITORING / file).is_file() for file in config["rule_files"])
    [scraped] = config["scrape_configs"]
    [port] = SERVICES["api"]["ports"]
    assert scraped["static_configs"] == [{"targets": [f"api:{port.rpartition(':')[2]}"]}]
    assert config["global"]["external_labels"]["hub_url"] == environment("api")["HUB_BASE_URL"]
    provisioning = there(SERVICES["grafana"]["environment"]["GF_PATHS_PROVISIONING"])
    [provider] = yaml.safe_load((provisioning / "dashboards" / "hub.yml").read_text())["providers"]
    assert [path.name for path in there(provider["options"]["path"]).glob("*.json")] == ["hub.json"]
    [source] = yaml.safe_load((provisioning / "datasources" / "hub.yml").read_text())["datasources"]
    [port] = SERVICES["prometheus"]["ports"]
    assert source["url"] == f"http://prometheus:{port.rpartition(':')[2]}"


def test_redis_settings() -> None:
    """A real server takes Redis' command line, and is then set up as the embedded one is."""
    _, *options = shlex.split(SERVICES["redis"]["command"])
    wanted = dict(shlex.split(line) for line in SETTINGS.splitlines() if line != "daemonize no")
    with tempfile.TemporaryDirectory(prefix="hub-") as folder:
        argv = [str(find().path), *options, "--port", "0", "--unixsocket", f"{folder}/redis.sock", "--dir", folder]
        with subprocess.Popen(argv, preexec_fn=tied(), stdout=subprocess.DEVNULL) as server:
            try:
                until(Path(folder, "redis.sock").exists)
                with Redis(unix_socket_path=f"{folder}/redis.sock", decode_responses=True) as redis:
                    assert {name: redis.config_get(name)[name] for name in wanted} == wanted
            finally:
                server.kill()


def test_image() -> None:
    """The image installs from the lock with its hashes, and runs as the user that compose names, on its directory."""
    assert "--require-hashes --only-binary :all: -r requirements.lock" in DOCKERFILE
    user = re.search(r"^USER (\S+)$", DOCKERFILE, re.M)
    assert user
    assert {SERVICES[name]["user"] for name in HUB} == {user[1]}
    assert set(re.findall(r"HUB_DATA_DIR=(\S+)", DOCKERFILE)) == {environment("api")["HUB_DATA_DIR"]}
    command = re.search(r"^CMD \[(.*)\]$", DOCKERFILE, re.M)
    assert command
    assert [part.strip(' "') for part in command[1].split(",")] == SERVICES["api"]["command"]


def test_image_context() -> None:
    """What the image copies is in its build context, and exists."""
    copied = {
        source.rstrip("/")
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.M)
        for source in line.split()
    }
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)
