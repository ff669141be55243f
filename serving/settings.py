"""All settings, in one place. Environment `FENZHEN_…`, a `.env` file or the command line.

Each field's description is what the documentation shows; a test keeps them the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from models.backends.options import BackendOptions, Provider
from models.backends.synthetic import entry_of
from models.repository import SHIPPED, ModelRepository


class Settings(BaseSettings):
    """One server's settings."""

    model_config = SettingsConfigDict(env_prefix="FENZHEN_", env_file=".env", extra="ignore")

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    workers: int = Field(
        1,
        ge=1,
        le=256,
        description="HTTP processes. With two or more, one further process runs the models for "
        "all of them.",
    )
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$",
        description="Address under which callers reach the server, for the links in DICOMweb "
        "answers; the default is what each request says.",
    )
    var: Path = Field(Path("var"), description="Folder for the SQLite file and the images.")
    database_url: str | None = Field(
        None, description="SQLAlchemy URL; the default is SQLite in `var`."
    )
    models: Path = Field(SHIPPED, description="Folder of the model repository.")
    allow_noncommercial: bool = Field(
        False, description="Load models learned on non-commercial data sets (evaluation only)."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log entries to write."
    )
    max_text_chars: int = Field(
        8_000, ge=100, description="Longest patient text in characters, all messages together."
    )
    max_messages: int = Field(50, ge=1, description="Most messages in one triage or consult.")
    max_body_bytes: int = Field(1_000_000, ge=1_000, description="Largest JSON body in bytes.")
    max_tensor_bytes: int = Field(
        64_000_000, ge=1_000, description="Largest body of `/v2/models/…/infer` in bytes."
    )
    max_image_bytes: int = Field(
        32_000_000, ge=1_000, description="Largest image upload in bytes, all files together."
    )
    max_image_pixels: int = Field(
        50_000_000, ge=10_000, description="Most pixels of an image, read from its header."
    )
    max_open_pixels: int = Field(
        100_000_000,
        ge=10_000,
        description="Most pixels of images decoded at once, over all requests and all frames; "
        "whoever comes beyond waits, then gets a 429.",
    )
    max_stow_bytes: int = Field(
        256_000_000,
        ge=1_000,
        description="Largest STOW-RS request in bytes; one instance is at most max_image_bytes.",
    )
    max_stow_instances: int = Field(100, ge=1, description="Most instances in one STOW-RS request.")
    max_files: int = Field(8, ge=1, description="Most files in one imaging study.")
    inference_timeout_s: float = Field(
        10.0, gt=0, description="Longest wait for a model before a request is given up."
    )
    queue_capacity: int = Field(256, ge=2, description="Most requests that wait per model.")
    queue_reserved: int = Field(32, ge=1, description="Places of the queue kept for emergencies.")
    max_batch: int = Field(16, ge=1, description="Most rows in one batch.")
    batch_tokens: int = Field(
        16_384, ge=1, description="Most tokens in one batch of texts, padding included."
    )
    batch_pixels: int = Field(
        16_000_000, ge=1, description="Most pixels in one batch of pictures, of all channels."
    )
    tune: bool = Field(
        True,
        description="Measure at the start how each model runs best on this machine's processor: "
        "in batches of how many, in one copy or one for each core.",
    )
    model_workers: int | None = Field(
        None,
        ge=1,
        description="Batches of one model that run at once, each on processor cores of its own; "
        "measured by default.",
    )
    model_threads: int | None = Field(
        None, ge=1, description="Threads of one worker; measured by default."
    )
    engine: Literal["local", "ray"] = Field(
        "local", description="Where the models run: in this server, or on a Ray cluster."
    )
    ray_address: str = Field(
        "local",
        pattern=r"^(local|auto|[^\s/:]+:\d{1,5})$",
        description="The cluster, of which this machine must be a node: `HOST:PORT` of its head, "
        "`auto` for the one that runs here, or `local` to start one here and end it again.",
    )
    ray_name: str = Field(
        "fenzhen",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$",
        description="What this server is called on the cluster; no two may share a name.",
    )
    ray_min_replicas: int = Field(
        1, ge=1, le=1000, description="Replicas of each model that always run; 2 outlast a node."
    )
    ray_max_replicas: int = Field(
        1,
        ge=1,
        le=1000,
        description="Most replicas of a model; Ray adds one when two batches of requests are under "
        "way for each.",
    )
    ray_replica_cpus: float | None = Field(
        None,
        ge=0,
        description="Processor cores that a replica reserves on its node; the default is its "
        "`model_threads` (or 1), and none on a cluster that was started here.",
    )
    ray_replica_gpus: float = Field(
        1.0,
        gt=0,
        description="GPUs, or a part of one, that a replica reserves whose model runs on a GPU.",
    )
    ray_patience_s: float = Field(
        300.0,
        gt=0,
        description="Longest wait of a request without a deadline (batches) for an answer from "
        "the cluster.",
    )
    model_versions: dict[str, int] = Field(
        {}, description='Versions to serve instead of the latest, as `{"department": 1}`.'
    )
    all_versions: bool = Field(
        False, description="Host every version in the repository; `/v2` can ask for each."
    )
    synthetic: str = Field(
        "",
        description="Networks that compute nothing, for load tests: `echo`, `sleep:5+0.5n`.",
    )
    providers: tuple[Provider, ...] = Field(
        ("cpu",),
        min_length=1,
        description="Where ONNX Runtime runs a network, the first that can: `cpu`, `cuda`, "
        "`tensorrt`.",
    )
    backends: dict[str, BackendOptions] = Field(
        {},
        description="How single models run, as JSON: "
        '`{"cxr_pneumonia": {"backend": "torch", "device": "cuda", "precision": "bf16"}}`.',
    )
    lease_seconds: int = Field(
        600, ge=5, description="How long a claimed review stays claimed without a heartbeat."
    )
    session_hours: int = Field(
        12, ge=1, description="How long a physician stays signed in to the console."
    )
    report_organization: str = Field(
        "Not recorded",
        pattern=r"^[^\\\x00-\x1f]{1,64}$",
        description="The hospital's name in signed DICOM reports (Verifying Organization).",
    )
    timezone: str = Field(
        "Asia/Shanghai", description="The hospital's time zone (IANA): duty hours and days."
    )
    max_roster_bytes: int = Field(5_000_000, ge=1_000, description="Largest roster in bytes.")
    max_roster_rows: int = Field(20_000, ge=1, description="Most doctors in a roster.")
    batch_max_bytes: int = Field(
        512_000_000, ge=1_000, description="Largest file of `POST /v1/batches` in bytes."
    )
    batch_max_unpacked_bytes: int = Field(
        4_000_000_000, ge=1_000, description="Most bytes of a batch's zip archive once unpacked."
    )
    batch_max_rows: int = Field(
        10_000, ge=1, le=50_000, description="Most rows of a batch: lines of JSON, or images."
    )
    batch_concurrency: int = Field(
        4, ge=1, description="Rows of batches worked on at once; more is faster for them alone."
    )
    batch_open: int = Field(
        16, ge=1, description="Most unfinished batches; more are refused with 429."
    )
    batch_lease_seconds: int = Field(
        60,
        ge=3,
        description="How long a batch waits for a server that works on it and falls silent, before "
        "another server, or the same one after a crash, goes on with it.",
    )
    batch_keep_hours: int = Field(
        168,
        ge=1,
        description="How long a batch's results can be fetched after its end; one that has not "
        "ended that long after it was accepted is given up.",
    )
    generator_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$",
        description="OpenAI-compatible endpoint (…/v1) that words answers from quoted passages; "
        "off by default. It is sent the question and the passages.",
    )
    generator_model: str = Field(
        "default",
        min_length=1,
        max_length=200,
        description="The model that the endpoint is asked for.",
    )
    generator_key: SecretStr | None = Field(None, description="Its API key.")
    generator_timeout_s: float = Field(
        20.0, gt=0, description="Longest wait for it; the extractive answer then stands alone."
    )
    acuity_scale: Literal["esi", "ktas", "china"] = Field(
        "china", description="Acuity scale where a request names none."
    )
    emergency_number: str = Field(
        "120", pattern=r"^\d{2,8}$", description="Ambulance number shown to patients."
    )

    @model_validator(mode="after")
    def _fewest_first(self) -> Self:
        if self.ray_min_replicas > self.ray_max_replicas:
            raise ValueError("ray_min_replicas is more than ray_max_replicas")
        return self

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("no such time zone") from error
        return name

    @field_validator("synthetic")
    @classmethod
    def _known_networks(cls, text: str) -> str:
        for one in text.split():
            entry_of(one)
        return text

    @property
    def repository(self) -> ModelRepository:
        """The model repository under these settings."""
        return ModelRepository(self.models, allow_noncommercial=self.allow_noncommercial)

    @property
    def library(self) -> Path:
        """The library of documents from elsewhere."""
        return self.var / "knowledge" / "library.sqlite3"

    @property
    def knowledge_index(self) -> Path:
        """The folder of the search indexes."""
        return self.var / "knowledge" / "index"

    @property
    def database(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.database_url or f"sqlite:///{self.var / 'fenzhen.sqlite3'}"
