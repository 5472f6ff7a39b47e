"""Redis behind TLS, with certificates of our own, and users that may do no more than they need."""

from contextlib import suppress
from pathlib import Path

import pytest

from gram_server.errors import StoreUnavailable
from tests.conftest import free_port
from tests.faults.conftest import Queue, Site
from tests.faults.topology import SERVICE, Authority, Cli, sentinels
from tests.processes import until

pytestmark = [pytest.mark.anyio, pytest.mark.redis, pytest.mark.faults]

RIGHTS = ("~{gram}:*", "+@read", "+@write", "+@scripting", "+@connection", "+time", "+config|get")
"""What docs/operations.md says that a user of Redis needs."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ours").found()


async def check_works(queue: Queue, site: Site) -> None:
    async def is_reached() -> bool:
        with suppress(StoreUnavailable):
            return bool(await queue.store.stats())
        return False

    # The certificates of the system are read for each connection, which takes its time.
    await until(is_reached, every_s=0.02)
    await site.worker(queue.url, "--work-s", "0.1", "--lease-s", "3")
    await queue.done([await queue.submit() for _ in range(6)])
    await queue.clean()


async def test_a_server_with_tls_is_reached_where_its_certificate_is_trusted(
    authority: Authority, site: Site, tmp_path: Path
) -> None:
    port = free_port()
    plain = site.redis(*authority.flags(port), "--tls-auth-clients", "no")
    url = f"rediss://127.0.0.1:{port}/0"
    trusted = f"{url}?ssl_ca_certs={authority.certificate}"
    await check_works(await site.queue(trusted, look_at=plain.url), site)
    stranger = Authority(tmp_path / "stranger").found()
    for distrusted in (url, f"{url}?ssl_ca_certs={stranger.certificate}"):
        queue = await site.queue(distrusted, look_at=plain.url)
        with pytest.raises(StoreUnavailable):
            await queue.submit()


async def test_a_server_that_asks_for_a_certificate_gets_ours(
    authority: Authority, site: Site
) -> None:
    port = free_port()
    plain = site.redis(*authority.flags(port), "--tls-auth-clients", "yes")
    url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={authority.certificate}"
    nobody = await site.queue(url, look_at=plain.url)
    with pytest.raises(StoreUnavailable):
        await nobody.submit()
    signed, key = authority.sign("client")
    url += f"&ssl_certfile={signed}&ssl_keyfile={key}"
    await check_works(await site.queue(url, look_at=plain.url), site)


async def test_sentinel_and_its_master_are_reached_with_tls(
    authority: Authority, site: Site, tmp_path: Path
) -> None:
    port, sentinel_port = free_port(), free_port()
    plain = site.redis(*authority.flags(port), "--tls-auth-clients", "no")
    url = f"rediss+sentinel://127.0.0.1:{sentinel_port}/{SERVICE}"
    url += f"?ssl_ca_certs={authority.certificate}"
    with sentinels(tmp_path, [sentinel_port], port, Cli(authority), quorum=1):
        await check_works(await site.queue(url, look_at=plain.url), site)


async def test_a_cluster_is_reached_with_tls(authority: Authority, site: Site) -> None:
    # A node also listens 10,000 above the port that it is known by.
    ports = [free_port() % 20_000 + 20_000 for _ in range(3)]
    cluster = ("--cluster-enabled", "yes", "--tls-cluster", "yes", "--tls-auth-clients", "no")
    nodes = [site.redis(*authority.flags(port), *cluster) for port in ports]
    owner = nodes[Cli(authority).form_cluster(ports)]
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    url = f"rediss+cluster://{hosts}?ssl_ca_certs={authority.certificate}"
    await check_works(await site.queue(url, look_at=owner.url), site)


async def test_a_user_needs_no_more_rights_than_the_documentation_says(site: Site) -> None:
    text = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    assert f"`{' '.join(RIGHTS)}`" in text
    redis = site.redis()
    opened = await site.queue(redis.url)
    await opened.redis.execute_command("ACL", "SETUSER", "gram", "on", ">se%cret", *RIGHTS)
    url = redis.url.replace("redis://", "redis://gram:se%25cret@")
    queue = await site.queue(url, look_at=redis.url)
    await check_works(queue, site)
    await queue.store.cancel(await queue.submit(deadline_ms=60_000))
    assert await opened.redis.execute_command("ACL", "LOG") == []
    wrong = await site.queue(redis.url.replace("redis://", "redis://gram:wrong@"))
    with pytest.raises(StoreUnavailable):
        await wrong.submit()
