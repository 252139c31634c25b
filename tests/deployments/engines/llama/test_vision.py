"""Pictures to embeddings and to keys that identify them."""

from __future__ import annotations

import numpy as np
import pytest

from deployments.errors import BrokenMedia
from deployments.messages import Image
from tests.deployments.engines import tiny
from tests.deployments.engines.llama.prompts import Prompts, with_pictures


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Prompts:
    return Prompts(tiny.llava(tmp_path_factory.mktemp("vision")))


def test_the_keys_of_different_pictures_differ(llava: Prompts) -> None:
    one, other = tiny.picture(1), tiny.picture(2)
    assert llava.keys(with_pictures(one)) == llava.keys(with_pictures(one)) != llava.keys(with_pictures(other))
    assert llava.keys(with_pictures(one, other)) != llava.keys(with_pictures(other, one))


def test_a_picture_is_encoded_once(llava: Prompts) -> None:
    assert llava.vision
    first, again, other = (llava.vision.encode(tiny.picture(seed))[0].embeddings for seed in (7, 7, 8))
    assert first is again
    assert first is not None
    assert other is not None
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (400, 3), (28, 28), (900, 1200)])
def test_pictures_of_any_size_have_as_many_embeddings(llava: Prompts, size: tuple[int, int]) -> None:
    prompt = llava.builder.build([with_pictures(tiny.picture(0, *size))], 0)
    assert [embeddings.shape for _, embeddings in prompt.pictures] == [(4, tiny.WIDTH)]


def test_a_picture_without_pixels_is_broken_media(llava: Prompts) -> None:
    with pytest.raises(BrokenMedia, match="5 by 0"):
        llava.keys(with_pictures(Image(np.zeros((0, 5, 3), np.uint8))))
