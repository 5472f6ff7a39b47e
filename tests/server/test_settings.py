import pytest

from gram_server.errors import ConfigError
from gram_server.settings import EngineConfig, HttpConfig, QueueConfig, Settings


def test_defaults_need_no_environment() -> None:
    assert Settings.load(environ={}) == Settings()


def test_the_environment_is_read_by_field_type() -> None:
    environ = {
        "GRAM_SERVER_PORT": "9000",
        "GRAM_SERVER_FIXED_SHAPE": "false",
        "GRAM_SERVER_MODELS": "sudoku-9x9, nqueens-8",
        "GRAM_SERVER_DRAIN_S": "2.5",
        "GRAM_SERVER_NUM_THREADS": "2",
        "GRAM_SERVER_LATENCY_BUCKETS_MS": "1,10,100",
        "GRAM_SERVER_LOG_LEVEL": "DEBUG",
        "PATH": "/bin",
    }
    settings = Settings.load(environ=environ)
    assert settings.http == HttpConfig(port=9000, latency_buckets_ms=(1.0, 10.0, 100.0))
    assert settings.engine == EngineConfig(
        fixed_shape=False, models=("sudoku-9x9", "nqueens-8"), drain_s=2.5, num_threads=2
    )
    assert settings.log_level == "debug"


def test_flags_win_over_the_environment_and_none_is_no_flag() -> None:
    environ = {"GRAM_SERVER_PORT": "9000", "GRAM_SERVER_HOST": "::1"}
    settings = Settings.load({"port": 1234, "host": None}, environ=environ)
    assert (settings.http.port, settings.http.host) == (1234, "::1")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "http"),
        ("PORT", "70000"),
        ("PORT", ""),
        ("HANG_S", "nan"),
        ("HANG_S", "0"),
        ("NUM_SLOTS", "0"),
        ("NUM_SLOTS", "1.5"),
        ("NUM_THREADS", "0"),
        ("FIXED_SHAPE", "perhaps"),
        ("PRECISION", "fp8"),
        ("MAX_TRAJECTORIES", "100"),
        ("MAX_BODY_BYTES", "0"),
        ("DRAIN_S", "-1"),
        ("LATENCY_BUCKETS_MS", "10,1"),
        ("LATENCY_BUCKETS_MS", "fast"),
        ("LOG_LEVEL", "loud"),
        ("NO_SUCH_SETTING", "1"),
    ],
)
def test_what_cannot_be_used_stops_the_start_by_name(name: str, text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Settings.load(environ={f"GRAM_SERVER_{name}": text})
    field = "max_width" if name == "MAX_TRAJECTORIES" else name.lower()
    assert refused.value.field == field
    assert str(refused.value).startswith(field)


def test_a_job_of_full_width_always_fits_an_empty_queue() -> None:
    with pytest.raises(ConfigError, match=r"max_width.*GRAM_SERVER_MAX_WIDTH"):
        Settings(http=HttpConfig(max_width=65), queue=QueueConfig(max_trajectories=64))


def test_a_worker_gets_the_settings_of_its_server() -> None:
    settings = Settings(
        http=HttpConfig(latency_buckets_ms=(0.5, 1.0), allowed_hosts=("a", "b")),
        queue=QueueConfig(max_backlog_s=3.5),
        engine=EngineConfig(num_slots=8, fixed_shape=False, models=("a,b", "c"), drain_s=3.0),
        log_level="debug",
    )
    assert Settings.from_json(settings.to_json()) == settings
