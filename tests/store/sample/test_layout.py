"""Patterns have an exact inverse, and a wrong one is answered with the shape and the cure."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lamofc_store.errors import BadArgument
from lamofc_store.sample import layout

KNOWN = [
    ((), "-> 1 1", (1, 1)),
    ((768,), "c -> 1 c", (1, 768)),
    ((77, 768), "t c -> t c", (77, 768)),
    ((1, 8, 5, 16), "b h t d -> (b t) (h d)", (5, 128)),
    ((1, 8, 5, 16), "1 h t d -> t (h d)", (5, 128)),
    ((2, 3, 4), "... c -> (...) c", (6, 4)),
    ((4,), "... c -> (...) c", (1, 4)),
    ((6, 2, 2), "c y x -> (y x) c", (4, 6)),
    ((32, 4, 4), "(a b) y x -> (a y) (b x), b=8", (16, 32)),
    ((0, 5, 3), "b t c -> (b t) c", (0, 3)),
    ((4, 0), "t c -> t c", (4, 0)),
]


@pytest.mark.parametrize(("shape", "pattern", "expected"), KNOWN)
def test_known_patterns(shape: tuple[int, ...], pattern: str, expected: tuple[int, int]) -> None:
    feature = torch.arange(torch.Size(shape).numel()).reshape(shape)
    tokens = layout.to_tokens(feature, pattern)
    assert tuple(tokens.shape) == expected
    assert (layout.tokens_of(shape, pattern), layout.channels_of(shape, pattern)) == expected
    assert torch.equal(layout.from_tokens(tokens, pattern, shape), feature)


def test_cache_packs_token_by_token() -> None:
    """P[t, h * D + d] = X[0, h, t, d], as the published packing has it."""
    cache = torch.randn(1, 4, 7, 3)
    tokens = layout.to_tokens(cache, "b h t d -> (b t) (h d)")
    for token, head, dim in ((0, 0, 0), (6, 3, 2), (2, 1, 1)):
        assert tokens[token, head * 3 + dim] == cache[0, head, token, dim]


def test_latent_packs_on_a_channel_grid() -> None:
    """P[a * 4 + y, b * 4 + x] = X[8 a + b, y, x]."""
    latent = torch.randn(32, 4, 4)
    tokens = layout.to_tokens(latent, "(a b) y x -> (a y) (b x), b=8")
    assert tokens[3 * 4 + 1, 5 * 4 + 2] == latent[8 * 3 + 5, 1, 2]


def test_planes_are_counted_and_their_tokens_follow_each_other() -> None:
    crops = torch.randn(2, 5, 3)
    tokens = layout.to_tokens(crops, "b t c -> b t c")
    assert torch.equal(tokens, torch.cat([crops[0], crops[1]]))
    assert torch.equal(layout.from_tokens(tokens, "b t c -> b t c", (2, 5, 3)), crops)
    counts = {"b t c -> b t c": 2, "b t c -> (b t) c": 1, "b t c -> 1 (b t) c": 1}
    assert {pattern: layout.planes_of((2, 5, 3), pattern) for pattern in counts} == counts
    assert layout.planes_of((2, 4, 5, 3), "... t c -> (...) t c") == 8
    assert layout.has_planes("b t c -> b t c") and not layout.has_planes("b t c -> (b t) c")


@pytest.mark.parametrize(
    ("shape", "sides", "place"),
    [((32, 4, 4), (16, 32), (3 * 4 + 1, 5 * 4 + 2, 8 * 3 + 5)), ((16, 4, 4), (16, 16), (1, 3 * 4 + 2, 3))],
)
def test_a_mosaic_has_a_tile_for_each_channel(
    shape: tuple[int, ...], sides: tuple[int, int], place: tuple[int, int, int]
) -> None:
    """P[a * Y + y, b * X + x] = X[a * B + b, y, x]: 4 x 8 tiles of 32 channels, 4 x 4 of 16."""
    latent = torch.randn(shape)
    pattern = layout.pattern_for("vae.encoder_f0", shape, {"vae.*": "mosaic"})
    assert pattern.startswith("(r s) y x -> (r y) (s x), s=")
    tokens = layout.to_tokens(latent, pattern)
    assert tuple(tokens.shape) == sides
    row, column, channel = place
    assert tokens[row, column] == latent[channel, 1, 2]
    several = layout.pattern_for("tti", (2, *shape), {"tti": "mosaic"})
    assert layout.planes_of((2, *shape), several) == 2
    assert torch.equal(layout.to_tokens(torch.stack([latent, latent]), several)[: len(tokens)], tokens)


@pytest.mark.parametrize(("channels", "across"), [(1, 1), (7, 7), (6, 3), (2048, 64), (0, 1)])
def test_a_mosaic_is_no_taller_than_wide(channels: int, across: int) -> None:
    assert layout.pattern_for("a", (channels, 2, 2), {"a": "mosaic"}).endswith(f"s={across}")


def test_a_mosaic_needs_a_feature_map() -> None:
    with pytest.raises(BadArgument, match=r"feature 'a': pattern 'mosaic' needs channels x rows x columns"):
        layout.pattern_for("a", (77, 768), {"a": "mosaic"})


@pytest.mark.parametrize("axes", range(8))
def test_default_keeps_the_last_axis_as_channels(axes: int) -> None:
    shape = tuple(range(2, 2 + axes))
    tokens = layout.to_tokens(torch.zeros(shape), layout.default_pattern(shape))
    assert tokens.shape[1] == (shape[-1] if shape else 1)


@st.composite
def patterned(draw: st.DrawFn) -> tuple[str, tuple[int, ...]]:
    """A random shape (zero and one included) and a random pattern over it: groups, literal 1, ellipsis, sizes."""
    groups = draw(st.lists(st.integers(0, 2), min_size=0, max_size=4))
    sizes = [[draw(st.integers(1 if count > 1 else 0, 4)) for _ in range(count)] for count in groups]
    names, left, shape, given_sizes = [], [], [], []
    for number, group in enumerate(sizes):
        own = [f"x{number}{letter}" for letter in "ab"[: len(group)]]
        names += own
        left.append("1" if not own else own[0] if len(own) == 1 else f"({' '.join(own)})")
        shape.append(int(torch.tensor(group).prod()) if group else 1)
        given_sizes += [f"{own[1]}={group[1]}"] if len(own) > 1 else []
    if draw(st.booleans()):
        rest = draw(st.lists(st.integers(0, 3), max_size=3))
        at = draw(st.integers(0, len(left)))
        left.insert(at, "...")
        shape[at:at] = rest
        names.append("...")
    order = draw(st.permutations(names))
    cut = draw(st.integers(0, len(order)))
    right = f"({' '.join(order[:cut])}) ({' '.join(order[cut:])})"
    return ", ".join([f"{' '.join(left)} -> {right}", *given_sizes]), tuple(shape)


@given(patterned())
@settings(max_examples=300, deadline=None)
def test_restore_inverts_flatten(case: tuple[str, tuple[int, ...]]) -> None:
    pattern, shape = case
    feature = torch.arange(torch.Size(shape).numel()).reshape(shape)
    tokens = layout.to_tokens(feature, pattern)
    assert tokens.ndim == 2
    assert tuple(tokens.shape) == (layout.tokens_of(shape, pattern), layout.channels_of(shape, pattern))
    restored = layout.from_tokens(tokens, pattern, shape)
    assert restored.shape == feature.shape
    assert torch.equal(restored, feature)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("t c", "exactly one '->'"),
        ("t c -> t -> c", "exactly one '->'"),
        ("t c -> (t c)", "1 axes on its right"),
        ("a b t c -> a b t c", "4 axes on its right"),
        ("t c -> t d", "'c' stands 1 times on the left and 0"),
        ("t t -> t t", "'t' stands 2 times"),
        ("t c -> (t c", "unbalanced"),
        ("(t (c)) -> t c", "unbalanced"),
        ("t c) -> t c", "unbalanced"),
        ("2 c -> 2 c", "2 is no axis"),
        ("t _c -> t _c", "'_' can be no axis name"),
        ("t c_ -> t c_", "'c_' can be no axis name"),
        ("for c -> for c", "'for' can be no axis name"),
        ("t c -> t c, d=3", "'d', which is no axis"),
        ("t c -> t c, c=0", "'c=0' is no size"),
        ("t c -> t c, c=2, c=2", "'c=2' is no size"),
        ("(... t) c -> (... t) c", "group on its left"),
        ("", "exactly one '->'"),
    ],
)
def test_wrong_patterns_name_themselves(pattern: str, words: str) -> None:
    with pytest.raises(BadArgument) as caught:
        layout.parse(pattern)
    assert words in str(caught.value)
    assert repr(pattern) in str(caught.value)
    assert caught.value.cure


@pytest.mark.parametrize(
    ("pattern", "shape", "words"),
    [
        ("t c -> t c", (2, 3, 4), "has 2 axes, the shape (2, 3, 4) has 3"),
        ("... a b c -> (... a b) c", (2, 3), "has 2"),
        ("1 t c -> t c", (2, 3, 4), "makes 1, the axis has 2"),
        ("(a b) c -> a (b c), b=3", (4, 2), "makes 3, the axis has 4"),
        ("(a b) c -> a (b c)", (4, 2), "do not follow from the shape"),
        ("t c -> t c, c=5", (4, 2), "makes 5, the axis has 2"),
    ],
)
def test_patterns_that_do_not_fit_name_the_shape(pattern: str, shape: tuple[int, ...], words: str) -> None:
    with pytest.raises(BadArgument) as caught:
        layout.to_tokens(torch.zeros(shape), pattern)
    assert words in str(caught.value)
    assert str(shape) in str(caught.value)
    assert caught.value.cure


def test_restore_refuses_other_tokens() -> None:
    with pytest.raises(BadArgument, match=r"\(5, 4\) tokens x channels do not fit the shape \(2, 3, 4\)"):
        layout.from_tokens(torch.zeros(5, 4), "b t c -> (b t) c", (2, 3, 4))


def test_patterns_by_glob() -> None:
    patterns = {"layer.*.k": "b h t d -> (b t) (h d)", "layer.1.k": "h t d -> t (h d)"}
    assert layout.pattern_for("layer.0.k", (1, 2, 3, 4), patterns) == "b h t d -> (b t) (h d)"
    assert layout.pattern_for("layer.1.k", (2, 3, 4), patterns) == "h t d -> t (h d)"
    assert layout.pattern_for("other", (3, 4), patterns) == "t c -> t c"
    with pytest.raises(BadArgument, match=r"feature 'layer\.2\.k': pattern 'b h t d"):
        layout.pattern_for("layer.2.k", (3, 4), patterns)


def test_grid_round_trips_and_checks_tokens() -> None:
    grid = layout.Grid.from_text("5+32x32")
    assert grid == layout.Grid(5, 32, 32) == layout.Grid.from_json(grid.to_json())
    grid.check(1029)
    grid.check(2058)
    with pytest.raises(BadArgument, match="1030 tokens are not whole images of 5"):
        grid.check(1030)
    assert layout.Grid.from_text("4x8") == layout.Grid(0, 4, 8)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"prefix": 1, "height": 0, "width": 2}', '{"prefix": 1.5, "height": 1, "width": 2}']
)
def test_wrong_grids_are_refused(text: str) -> None:
    with pytest.raises(BadArgument, match="grid"):
        layout.Grid.from_json(text)


def test_grid_is_read_from_named_axes_only() -> None:
    assert layout.grid_of((2, 3, 4, 5), layout.default_pattern((2, 3, 4, 5))) == layout.Grid(0, 3, 4)
    assert layout.grid_of((8, 3, 4), "c h w -> (h w) c") == layout.Grid(0, 3, 4)
    assert layout.grid_of((1, 8, 3, 4), "b h t d -> (b t) (h d)") is None
    assert layout.grid_of((8, 3, 4), "c h w -> (w h) c") is None
    assert layout.grid_of((16, 8), "t c -> t c") is None
