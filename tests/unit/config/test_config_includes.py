"""One tree out of several files."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.config.error import ConfigError
from app.config.includes import MAX_INCLUDES, Composition, deep_merge
from app.config.json_value import JsonObject, JsonValue

Files: TypeAlias = dict[str, str]


def composed(folder: Path, files: Files) -> Composition:
    """Write the files and read the one called zero.json."""
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    composition = Composition(folder / "zero.json")
    composition.read()
    return composition


@pytest.mark.parametrize(
    ("files", "tree"),
    [
        pytest.param({"zero.json": "{a: 1}"}, {"a": 1}, id="nothing to include"),
        pytest.param({"zero.json": "{$include: './b.json', a: 1}", "b.json": "{b: 2}"}, {"a": 1, "b": 2}, id="one"),
        pytest.param({"zero.json": "{$include: [], a: 1}"}, {"a": 1}, id="an empty list"),
        pytest.param(
            {"zero.json": "{$include: ['b', 'c']}", "b": "{x: 1, y: 1, o: {p: 1, q: 1}}", "c": "{y: 2, o: {q: 2}}"},
            {"x": 1, "y": 2, "o": {"p": 1, "q": 2}},
            id="the later file wins",
        ),
        pytest.param(
            {"zero.json": "{x: 0, $include: 'b', o: {p: 0}}", "b": "{x: 1, o: {p: 1, q: 1}}"},
            {"x": 0, "o": {"p": 0, "q": 1}},
            id="own keys win, wherever the include stands",
        ),
        pytest.param(
            {"zero.json": "{$include: 'b', l: [1], s: {}, n: null}", "b": "{l: [2, 3], s: 1, n: {m: 1}}"},
            {"l": [1], "s": {}, "n": None},
            id="lists and scalars are replaced",
        ),
        pytest.param(
            {"zero.json": "{agents: {list: [{$include: 'b', id: 'x'}]}}", "b": "{id: 'b', name: 'B'}"},
            {"agents": {"list": [{"id": "x", "name": "B"}]}},
            id="inside an object in a list",
        ),
        pytest.param(
            {
                "zero.json": "{$include: 'sub/b.json'}",
                "sub/b.json": "{b: 1, $include: ['c.json', '../d.json']}",
                "sub/c.json": "{c: 1}",
                "d.json": "{d: 1}",
            },
            {"b": 1, "c": 1, "d": 1},
            id="paths start from the including file",
        ),
        pytest.param(
            {"zero.json": "{$include: ['b', 'c']}", "b": "{$include: 'd'}", "c": "{$include: 'd'}", "d": "{d: 1}"},
            {"d": 1},
            id="a file may be included twice when there is no circle",
        ),
        pytest.param(
            {"zero.json": "{$include: 'b', o: {$include: 'c'}}", "b": "{o: {x: 'b', y: 'b'}}", "c": "{x: 'c'}"},
            {"o": {"x": "c", "y": "b"}},
            id="an own object's include counts as its own",
        ),
    ],
)
def test_includes_merge(tmp_path: Path, files: Files, tree: JsonObject) -> None:
    """Included files lie under the including object, in the order they are named."""
    assert tree == composed(tmp_path, files).tree


def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path) -> None:
    """An include may name any place."""
    other = tmp_path / "elsewhere" / "b.json"
    assert composed(tmp_path, {"elsewhere/b.json": "{b: 1}", "zero.json": f"{{$include: '{other}'}}"}).tree == {"b": 1}


def test_every_file_is_recorded_once_in_reading_order(tmp_path: Path) -> None:
    """The watcher learns of all files."""
    composition = composed(
        tmp_path,
        {"zero.json": "{$include: ['b', 'c']}", "b": "{$include: 'd'}", "c": "{$include: 'd'}", "d": "{}"},
    )
    assert tuple(tmp_path / name for name in ("zero.json", "b", "d", "c")) == composition.files


def test_origin_names_the_file_of_a_value(tmp_path: Path) -> None:
    """A fault can be put down to the file that says what is wrong."""
    composition = composed(
        tmp_path,
        {
            "zero.json": "{$include: 'b', own: 1, shared: {mine: 1}, l: [{$include: 'c'}]}",
            "b": "{theirs: 1, shared: {mine: 2, other: 2, list: [1]}}",
            "c": "{deep: {x: 1}}",
        },
    )
    origins = {
        ("own",): "zero.json",
        ("theirs",): "b",
        ("shared",): "zero.json",
        ("shared", "mine"): "zero.json",
        ("shared", "other"): "b",
        ("shared", "list", 0): "b",
        ("l", 0, "deep", "x"): "c",
        ("l", 0, "deep", "missing"): "c",
        ("l", 0): "zero.json",
        ("nowhere", "at", "all"): "zero.json",
    }
    assert origins == {path: composition.origin(path).name for path in origins}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"zero.json": "{agents: {$include: ['b', 'gone.json']}}", "b": "{}"},
            (
                '{d}/zero.json: agents.$include[1]: the included file "gone.json" does not exist. '
                "Create {d}/gone.json, or correct the path: it starts from the file that includes."
            ),
        ),
        (
            {"zero.json": "{$include: 'zero.json'}"},
            (
                "{d}/zero.json: $include: the includes go round in a circle: {d}/zero.json -> {d}/zero.json. "
                "Remove one of these includes."
            ),
        ),
        (
            {"zero.json": "{$include: 'b'}", "b": "{x: {$include: './c'}}", "c": "{$include: ['./zero.json']}"},
            (
                "{d}/c: x.$include[0]: the includes go round in a circle: "
                "{d}/zero.json -> {d}/b -> {d}/c -> {d}/zero.json. Remove one of these includes."
            ),
        ),
        (
            {"zero.json": "{$include: 7}"},
            '{d}/zero.json: $include: not the path of a file. Write a path or a list of paths: "./agents.json5".',
        ),
        (
            {"zero.json": "{$include: ['b', null]}", "b": "{}"},
            '{d}/zero.json: $include[1]: not the path of a file. Write a path or a list of paths: "./agents.json5".',
        ),
        (
            {"zero.json": "{$include: ''}"},
            '{d}/zero.json: $include: not the path of a file. Write a path or a list of paths: "./agents.json5".',
        ),
        (
            {"zero.json": "{$include: 'b'}", "b": "[]"},
            "{d}/b: the document is not an object. Put braces around it: { ... }.",
        ),
        (
            {"zero.json": "{models: {$include: 'b'}}", "b": "{p: {}, p: {}}"},
            "{d}/b: models.p: the key is written twice in one object. Remove one of the two.",
        ),
    ],
)
def test_a_bad_include_is_refused(tmp_path: Path, files: Files, message: str) -> None:
    """The error names the including file, the place of the include and what to do."""
    with pytest.raises(ConfigError) as caught:
        composed(tmp_path, files)
    assert message.replace("{d}", str(tmp_path)) == str(caught.value)


def test_a_circle_through_a_link_is_seen(tmp_path: Path) -> None:
    """A symbolic link does not hide a circle."""
    (tmp_path / "link.json").symlink_to(tmp_path / "zero.json")
    with pytest.raises(ConfigError) as caught:
        composed(tmp_path, {"zero.json": "{$include: 'link.json'}"})
    circle = f"{tmp_path}/zero.json -> {tmp_path}/link.json"
    assert caught.value.problem == f"the includes go round in a circle: {circle}"


def test_a_path_the_system_refuses_is_a_clear_error(tmp_path: Path) -> None:
    """A name that is too long for the file system does not escape as another exception."""
    with pytest.raises(ConfigError, match="cannot be read: File name too long"):
        composed(tmp_path, {"zero.json": f"{{$include: '{'x' * 300}'}}"})


@pytest.mark.parametrize(("length", "allowed"), [(MAX_INCLUDES, True), (MAX_INCLUDES + 1, False)])
def test_a_chain_of_includes_has_a_limit(tmp_path: Path, length: int, allowed: bool) -> None:
    """Ten files may include one another in a chain, not eleven."""
    files = {f"{n}.json": f"{{$include: '{n + 1}.json'}}" for n in range(length)}
    files["zero.json"] = files.pop("0.json")
    files[f"{length}.json"] = "{end: true}"
    if allowed:
        assert composed(tmp_path, files).tree == {"end": True}
    else:
        with pytest.raises(ConfigError, match="more than 10 files include one another in a chain"):
            composed(tmp_path, files)


def test_a_missing_include_is_recorded_too(tmp_path: Path) -> None:
    """The watcher can wait for a file that isn't there yet."""
    (tmp_path / "zero.json").write_text("{$include: 'later.json'}")
    composition = Composition(tmp_path / "zero.json")
    with pytest.raises(ConfigError):
        composition.read()
    assert (tmp_path / "zero.json", tmp_path / "later.json") == composition.files


SCALARS: st.SearchStrategy[JsonValue] = st.one_of(
    st.none(), st.booleans(), st.integers(0, 3), st.text("ab", max_size=2), st.lists(st.integers(0, 3), max_size=2)
)
TREES = st.recursive(
    st.dictionaries(st.sampled_from("abc"), SCALARS, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), st.one_of(SCALARS, inner), max_size=3),
    max_leaves=6,
)
# In these the key says whether an object or something else stands there, as in two files for the same program.
ALIKE = st.recursive(
    st.dictionaries(st.sampled_from("xyz"), SCALARS, max_size=3),
    lambda inner: st.builds(
        lambda plain, nested: {**plain, **nested},
        st.dictionaries(st.sampled_from("xyz"), SCALARS, max_size=3),
        st.dictionaries(st.sampled_from("OPQ"), inner, max_size=3),
    ),
    max_leaves=6,
)
quick = settings(max_examples=150, deadline=None, database=None, derandomize=True)


@quick
@given(TREES)
def test_the_empty_object_changes_nothing(tree: JsonObject) -> None:
    """The empty object is the merge's identity on both sides."""
    assert tree == deep_merge({}, tree) == deep_merge(tree, {})


@quick
@given(TREES)
def test_merging_a_tree_with_itself_changes_nothing(tree: JsonObject) -> None:
    """The merge is idempotent."""
    assert tree == deep_merge(tree, tree)


@quick
@given(ALIKE, ALIKE, ALIKE)
def test_grouping_of_merges_does_not_matter(a: JsonObject, b: JsonObject, c: JsonObject) -> None:
    """The merge is associative where the files agree on what is an object."""
    assert deep_merge(deep_merge(a, b), c) == deep_merge(a, deep_merge(b, c))


@quick
@given(TREES, TREES)
def test_every_key_of_the_upper_tree_is_in_the_result(under: JsonObject, over: JsonObject) -> None:
    """What wins is there unchanged, unless both say objects."""
    merged = deep_merge(under, over)
    assert isinstance(merged, dict)
    assert merged.keys() == under.keys() | over.keys()
    for key, value in over.items():
        assert merged[key] == (deep_merge(under[key], value) if key in under else value)
    for key in under.keys() - over.keys():
        assert under[key] == merged[key]


@quick
@given(TREES, TREES)
def test_merging_leaves_its_arguments_alone(under: JsonObject, over: JsonObject) -> None:
    """The merge is pure."""
    before = repr((under, over))
    deep_merge(under, over)
    assert before == repr((under, over))
