"""The tables as they are declared: what the migrations lead to, and the tests compare with.

Imported by tests and by whoever writes a migration, never at run time: SQLModel takes longer to
import than captiv takes to start, and its objects are 25 times slower than SQL text. Column types
are explicit, for STRICT tables know no others. Times are integer milliseconds since 1970.

Ids of runs, jobs and pods are never used again (AUTOINCREMENT): a worker remembers a job's answer
under its id, and captions and the ledger outlive the run that made them.
"""

from sqlalchemy import (
    DDL,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    event,
    text,
)
from sqlmodel import Field, SQLModel


def _integer(*, default: int | None = None) -> Column[int]:
    return Column(
        Integer, nullable=False, server_default=None if default is None else text(str(default))
    )


def _text(*, default: str | None = None) -> Column[str]:
    return Column(Text, nullable=False, server_default=default)


class Session(SQLModel, table=True):
    """One process at work on the queue."""

    __tablename__ = "sessions"
    __table_args__ = (
        CheckConstraint("kind IN ('dispatcher', 'follower')", name="kind_is_known"),
        {"sqlite_strict": True},
    )

    id: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    pid: int = Field(sa_column=_integer())
    host: str = Field(sa_column=_text())
    kind: str = Field(sa_column=_text())
    started_ms: int = Field(sa_column=_integer())
    seen_ms: int = Field(sa_column=_integer())
    ended_ms: int | None = Field(default=None, sa_column=Column(Integer))


class Run(SQLModel, table=True):
    """One request of a person, and how many of its jobs are in each state."""

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint("state IN ('active', 'finished', 'cancelled')", name="state_is_known"),
        CheckConstraint("scanned IN (0, 1)", name="scanned_is_a_flag"),
        CheckConstraint(
            "(finished_ms IS NULL) = (state = 'active')", name="finished_ms_of_the_ended"
        ),
        CheckConstraint("(wanted_by IS NULL) = (wanted_ms IS NULL)", name="wanted_by_and_when"),
        CheckConstraint(
            "min(pending, running, captioned, done, failed, cancelled, kept, skipped) >= 0",
            name="counters_are_counts",
        ),
        CheckConstraint(
            "state <> 'finished' OR (scanned = 1 AND pending + running + captioned = 0)",
            name="finished_has_nothing_open",
        ),
        CheckConstraint(
            "state <> 'cancelled' OR pending = 0", name="cancelled_has_nothing_pending"
        ),
        CheckConstraint("misses >= 0", name="misses_is_a_count"),
        CheckConstraint("exit_code IS NULL OR held_by IS NOT NULL", name="exit_code_of_the_held"),
        Index("runs_active", "fingerprint", unique=True, sqlite_where=text("state = 'active'")),
        {"sqlite_strict": True, "sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    fingerprint: str = Field(sa_column=_text())
    state: str = Field(sa_column=_text(default="active"))
    priority: int = Field(sa_column=_integer(default=0))
    spec: str = Field(sa_column=_text())
    """The RunSpec as JSON."""
    scanned: int = Field(sa_column=_integer(default=0))
    created_ms: int = Field(sa_column=_integer())
    finished_ms: int | None = Field(default=None, sa_column=Column(Integer))
    wanted_by: int | None = Field(
        default=None, sa_column=Column(Integer, ForeignKey("sessions.id"))
    )
    """The session that asked last for this run to be served, and when."""
    wanted_ms: int | None = Field(default=None, sa_column=Column(Integer))
    pending: int = Field(sa_column=_integer(default=0))
    running: int = Field(sa_column=_integer(default=0))
    captioned: int = Field(sa_column=_integer(default=0))
    done: int = Field(sa_column=_integer(default=0))
    failed: int = Field(sa_column=_integer(default=0))
    cancelled: int = Field(sa_column=_integer(default=0))
    kept: int = Field(sa_column=_integer(default=0))
    """Of `done`."""
    skipped: int = Field(sa_column=_integer(default=0))
    """Images that are no jobs, for they had a sidecar."""
    misses: int = Field(sa_column=_integer(default=0))
    """Answers that were no caption."""
    held_by: int | None = Field(default=None, sa_column=Column(Integer, ForeignKey("sessions.id")))
    """The session of this run's own command that dispatched last; see `captiv.store.holding`."""
    exit_code: int | None = Field(default=None, sa_column=Column(Integer))
    """With which that command ended."""
    unread: str = Field(sa_column=_text(default="{}"))
    """How many files lie beside its images that captiv does not read, by kind, as JSON."""


class Caption(SQLModel, table=True):
    """One text of one sidecar. Rows are appended only; two triggers refuse anything else."""

    __tablename__ = "captions"
    __table_args__ = (
        CheckConstraint("source IN ('model', 'hand', 'import')", name="source_is_known"),
        CheckConstraint("(model IS NOT NULL) = (source = 'model')", name="model_of_the_models"),
        CheckConstraint("(job_id IS NOT NULL) = (source = 'model')", name="job_of_the_models"),
        Index("captions_path", "path", "id"),
        {"sqlite_strict": True},
    )

    id: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    path: str = Field(sa_column=_text())
    """Of the image. See `captiv.store.texts.encode_path`."""
    sidecar: str = Field(sa_column=_text())
    """The whole path of the file that holds it, wherever that lies; encoded as `path`."""
    text: str = Field(sa_column=_text())
    hash: str = Field(sa_column=_text())
    """See `captiv.core.texts.content_hash`."""
    source: str = Field(sa_column=_text())
    run_id: int | None = Field(default=None, sa_column=Column(Integer))
    """No foreign key: captions outlive their run and job."""
    job_id: int | None = Field(default=None, sa_column=Column(Integer))
    model: str | None = Field(default=None, sa_column=Column(Text))
    variant: str | None = Field(default=None, sa_column=Column(Text))
    prompt: str | None = Field(default=None, sa_column=Column(Text))
    settings: str | None = Field(default=None, sa_column=Column(Text))
    """Generation settings as JSON."""
    seed: int | None = Field(default=None, sa_column=Column(Integer))
    tokens: int | None = Field(default=None, sa_column=Column(Integer))
    created_ms: int = Field(sa_column=_integer())
    before_id: int | None = Field(default=None, sa_column=Column(Integer))
    """The caption that took its place, of a text that captiv found only then."""
    adds: str | None = Field(default=None, sa_column=Column(Text))
    """`RunSpec.adds` of its run, of a caption that was added, or is to be, to what is there."""


class Job(SQLModel, table=True):
    """One sidecar of one image in one run; `captiv.core.jobs` draws its states."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("run_id", "path", "sidecar", name="once_in_a_run"),
        CheckConstraint(
            "state IN ('pending', 'running', 'captioned', 'done', 'failed', 'cancelled')",
            name="state_is_known",
        ),
        CheckConstraint("suspect IN (0, 1)", name="suspect_is_a_flag"),
        CheckConstraint("min(attempt, tries, crashes) >= 0", name="charges_are_counts"),
        CheckConstraint("misses >= 0", name="misses_is_a_count"),
        CheckConstraint(
            "(session_id IS NOT NULL) = (state = 'running')", name="session_of_the_running"
        ),
        CheckConstraint(
            "claimed_ms IS NOT NULL OR state <> 'running'", name="claimed_ms_of_the_running"
        ),
        CheckConstraint("note IS NULL OR (note = 'kept' AND state = 'done')", name="kept_is_done"),
        CheckConstraint(
            "CASE WHEN state = 'captioned' THEN caption_id IS NOT NULL"
            " WHEN state = 'done' THEN caption_id IS NOT NULL OR note IS NOT NULL"
            " ELSE caption_id IS NULL END",
            name="caption_of_the_captioned",
        ),
        CheckConstraint(
            "(error_code IS NULL) = (error IS NULL)"
            " AND (error_code IS NOT NULL OR state <> 'failed')"
            " AND (error_code IS NULL OR state IN ('failed', 'captioned'))"
            " AND (error_text IS NULL OR state = 'failed')",
            name="error_of_the_failed",
        ),
        CheckConstraint(
            "(finished_ms IS NOT NULL) = (state IN ('done', 'failed', 'cancelled'))",
            name="finished_ms_of_the_ended",
        ),
        Index("jobs_run", "run_id", "id"),
        CheckConstraint("postponed >= 0", name="postponed_is_a_count"),
        Index(
            "jobs_pending",
            "run_id",
            "postponed",
            "id",
            sqlite_where=text("state = 'pending' AND suspect = 0"),
        ),
        Index(
            "jobs_suspect",
            *("run_id", "crashes", "id"),
            sqlite_where=text("state = 'pending' AND suspect = 1"),
        ),
        Index("jobs_running", "run_id", "id", sqlite_where=text("state = 'running'")),
        Index("jobs_captioned", "run_id", "id", sqlite_where=text("state = 'captioned'")),
        Index("jobs_failed", "run_id", "id", sqlite_where=text("state = 'failed'")),
        Index("jobs_failed_place", "path", "sidecar", sqlite_where=text("state = 'failed'")),
        {"sqlite_strict": True, "sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    run_id: int = Field(sa_column=Column(Integer, ForeignKey("runs.id"), nullable=False))
    path: str = Field(sa_column=_text())
    """See `captiv.store.texts.encode_path`."""
    sidecar: str = Field(sa_column=_text())
    """The whole path of the file that is written, wherever that lies; encoded as `path`."""
    state: str = Field(sa_column=_text(default="pending"))
    attempt: int = Field(sa_column=_integer(default=0))
    """How often it was claimed; with the state, the fence of every later transition."""
    tries: int = Field(sa_column=_integer(default=0))
    """How often a worker answered without a caption; it names the next try, and only grows."""
    crashes: int = Field(sa_column=_integer(default=0))
    suspect: int = Field(sa_column=_integer(default=0))
    session_id: int | None = Field(
        default=None, sa_column=Column(Integer, ForeignKey("sessions.id"))
    )
    caption_id: int | None = Field(
        default=None, sa_column=Column(Integer, ForeignKey("captions.id"))
    )
    note: str | None = Field(default=None, sa_column=Column(Text))
    error_code: str | None = Field(default=None, sa_column=Column(Text))
    """Why it failed; of a captioned job, why its file could not be written."""
    error: str | None = Field(default=None, sa_column=Column(Text))
    error_text: str | None = Field(default=None, sa_column=Column(Text))
    """The answer that was no caption."""
    created_ms: int = Field(sa_column=_integer())
    claimed_ms: int | None = Field(default=None, sa_column=Column(Integer))
    finished_ms: int | None = Field(default=None, sa_column=Column(Integer))
    misses: int = Field(sa_column=_integer(default=0))
    """Of `tries`: answers that were no caption."""
    file_size: int | None = Field(default=None, sa_column=Column(Integer))
    """Of a failed one, with the next two: what the image was, and `RunSpec.asked`."""
    file_mtime_ns: int | None = Field(default=None, sa_column=Column(Integer))
    asked: str | None = Field(default=None, sa_column=Column(Text))
    postponed: int = Field(sa_column=_integer(default=0))
    """How often it was given back after a failure, and so goes behind the others."""
    found: str | None = Field(default=None, sa_column=Column(Text))
    """Hash of the text that its caption was, or is to be, added to; see `captiv.core.adding`."""
    objection: str | None = Field(default=None, sa_column=Column(Text))
    """What was wrong with the last answer, where the model is told it with the next try."""


class Pod(SQLModel, table=True):
    """One pod that captiv asked for, from the intent on; `captiv.core.pods` draws its states."""

    __tablename__ = "pods"
    __table_args__ = (
        UniqueConstraint("name", name="name_is_used_once"),
        CheckConstraint("state IN ('intended', 'live', 'ended')", name="state_is_known"),
        CheckConstraint("made_by IN ('run', 'hand')", name="made_by_is_known"),
        CheckConstraint("(run_id IS NOT NULL) = (made_by = 'run')", name="run_of_the_rented"),
        CheckConstraint("lingers IN (0, 1)", name="lingers_is_a_flag"),
        CheckConstraint("price_micro >= 0", name="price_is_a_price"),
        CheckConstraint(
            "CASE state WHEN 'intended' THEN pod_id IS NULL"
            " WHEN 'live' THEN pod_id IS NOT NULL"
            " ELSE 1 END"
            " AND (pod_id IS NULL) = (created_ms IS NULL)"
            " AND (pod_id IS NULL) = (url IS NULL)",
            name="pod_id_of_the_arrived",
        ),
        CheckConstraint(
            "(ended_ms IS NOT NULL) = (state = 'ended')"
            " AND (end_reason IS NOT NULL) = (state = 'ended')",
            name="end_of_the_ended",
        ),
        Index(
            "pods_pod_id",
            "provider",
            "pod_id",
            unique=True,
            sqlite_where=text("pod_id IS NOT NULL"),
        ),
        Index("pods_live", "id", sqlite_where=text("state = 'live'")),
        Index("pods_intended", "id", sqlite_where=text("state = 'intended'")),
        Index("pods_run", "run_id", "id", sqlite_where=text("run_id IS NOT NULL")),
        {"sqlite_strict": True, "sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    provider: str = Field(sa_column=_text())
    """Its name in the settings."""
    name: str = Field(sa_column=_text())
    pod_id: str | None = Field(default=None, sa_column=Column(Text))
    """The provider's."""
    state: str = Field(sa_column=_text(default="intended"))
    made_by: str = Field(sa_column=_text())
    run_id: int | None = Field(default=None, sa_column=Column(Integer))
    """The run that rented it. No foreign key: what was paid is known after `queue clear`."""
    lingers: int = Field(sa_column=_integer(default=0))
    """Left to its guard when its run ends."""
    gpu: str = Field(sa_column=_text())
    cloud: str = Field(sa_column=_text())
    """The provider's pool of hosts; empty where it has one."""
    price_micro: int = Field(sa_column=_integer())
    """Micro-dollars an hour."""
    version: str = Field(sa_column=_text())
    """Of the worker in it."""
    url: str | None = Field(default=None, sa_column=Column(Text))
    deadline_ms: int | None = Field(default=None, sa_column=Column(Integer))
    intended_ms: int = Field(sa_column=_integer())
    created_ms: int | None = Field(default=None, sa_column=Column(Integer))
    ended_ms: int | None = Field(default=None, sa_column=Column(Integer))
    end_reason: str | None = Field(default=None, sa_column=Column(Text))


class PodUse(SQLModel, table=True):
    """A time in which one run had one pod, and pays for it; open while it has it."""

    __tablename__ = "pod_uses"
    __table_args__ = (
        CheckConstraint("to_ms IS NULL OR to_ms >= from_ms", name="ends_after_it_began"),
        Index(
            "pod_uses_open",
            "pod_row",
            "run_id",
            unique=True,
            sqlite_where=text("to_ms IS NULL"),
        ),
        Index("pod_uses_run", "run_id", "id"),
        {"sqlite_strict": True},
    )

    id: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    pod_row: int = Field(sa_column=Column(Integer, ForeignKey("pods.id"), nullable=False))
    run_id: int = Field(sa_column=_integer())
    from_ms: int = Field(sa_column=_integer())
    to_ms: int | None = Field(default=None, sa_column=Column(Integer))


class Start(SQLModel, table=True):
    """How long a pod that a run rented took until its worker was ready, by what took it."""

    __tablename__ = "starts"
    __table_args__ = (
        CheckConstraint(
            "host_ms >= 0 AND download_ms >= 0 AND load_ms >= 0", name="times_are_times"
        ),
        {"sqlite_strict": True},
    )

    pod_row: int = Field(sa_column=Column(Integer, ForeignKey("pods.id"), primary_key=True))
    model: str = Field(sa_column=_text())
    """The variant that it loaded."""
    dtype: str = Field(sa_column=_text())
    download_bytes: int | None = Field(default=None, sa_column=Column(Integer))
    """Of the weights, as the catalog has it."""
    host_ms: int = Field(sa_column=_integer())
    """A host was found, the image fetched, the container started, and the worker installed."""
    download_ms: int = Field(sa_column=_integer())
    load_ms: int = Field(sa_column=_integer())
    volume: str | None = Field(default=None, sa_column=Column(Text))
    """The network volume on which it kept what it fetched; None of a pod without one."""


class Edit(SQLModel, table=True):
    """One change that a person made to many captions."""

    __tablename__ = "edits"
    __table_args__ = ({"sqlite_strict": True, "sqlite_autoincrement": True},)

    id: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    what: str = Field(sa_column=_text())
    """In words, for a person."""
    created_ms: int = Field(sa_column=_integer())
    undone_ms: int | None = Field(default=None, sa_column=Column(Integer))


class Standing(SQLModel, table=True):
    """A time that something stood in a sidecar; see `captiv.store.standings`."""

    __tablename__ = "standings"
    __table_args__ = (
        CheckConstraint("data IS NULL OR caption_id IS NOT NULL", name="data_of_a_caption"),
        Index("standings_path", "path", "id"),
        Index("standings_edit", "edit_id", "id"),
        {"sqlite_strict": True, "sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    path: str = Field(sa_column=_text())
    """Of the image. See `captiv.store.texts.encode_path`."""
    sidecar: str = Field(sa_column=_text())
    caption_id: int | None = Field(
        default=None, sa_column=Column(Integer, ForeignKey("captions.id"))
    )
    """None where nothing stood."""
    data: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    """What the file held, where that is not the caption's text in UTF-8."""
    under_id: int | None = Field(default=None, sa_column=Column(Integer))
    """The row that it stood on. No foreign key: looking for what stands on a row that is taken
    back would read the whole table."""
    newest_id: int = Field(sa_column=_integer())
    """The newest caption of the place then, 0 without one."""
    edit_id: int | None = Field(default=None, sa_column=Column(Integer, ForeignKey("edits.id")))
    """The edit that put it there."""


for _name, _change in (("not_changed", "UPDATE"), ("not_deleted", "DELETE")):
    event.listen(
        SQLModel.metadata.tables["captions"],
        "after_create",
        DDL(  # type: ignore[no-untyped-call]
            f"CREATE TRIGGER captions_are_{_name} BEFORE {_change} ON captions"
            " BEGIN SELECT raise(ABORT, 'captions are append-only'); END"
        ),
    )
