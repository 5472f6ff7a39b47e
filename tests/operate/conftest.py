import pytest

from tests.operate.chart import EXAMPLES, Rendered, example, render


@pytest.fixture(params=EXAMPLES)
def manifests(request: pytest.FixtureRequest) -> Rendered:
    """What each documented set of values makes."""
    return render(example(request.param))
