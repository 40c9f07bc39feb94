"""How long pods took to start: kept once for each pod that came up, and read for the next one."""

from sqlite3 import Connection

from captiv.core.estimate import Started, Startup
from captiv.core.pods import PodRowId, engine_of


def keep(
    conn: Connection,
    row_id: PodRowId,
    startup: Startup,
    *,
    model: str,
    dtype: str,
    download_bytes: int | None,
    volume: str | None = None,
) -> None:
    """Record how long the pod took that was rented to load this variant; the first word counts."""
    times = (startup.host_s, startup.download_s, startup.load_s)
    conn.execute(
        "INSERT INTO starts"
        " (pod_row, model, dtype, download_bytes, volume, host_ms, download_ms, load_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (pod_row) DO NOTHING",
        (row_id, model, dtype, download_bytes, volume, *(round(time_s * 1000) for time_s in times)),
    )


def latest(conn: Connection, provider: str, limit: int) -> list[Started]:
    """Return how long the provider's last pods took, the newest first."""
    rows = conn.execute(
        "SELECT version, host_ms, download_ms, load_ms, gpu, cloud, model, dtype, download_bytes,"
        " volume"
        " FROM starts JOIN pods ON pods.id=pod_row WHERE provider=? ORDER BY pod_row DESC LIMIT ?",
        (provider, limit),
    )
    return [
        Started(
            Startup(host / 1000, download / 1000, load / 1000, measured=True),
            *(gpu, cloud, model, dtype, size, engine_of(version), volume),
        )
        for version, host, download, load, gpu, cloud, model, dtype, size, volume in rows
    ]
