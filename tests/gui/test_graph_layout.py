"""Where the boxes and lines of a graph go: laws that hold for any graph."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gui.widgets.graph_layout import SIDEWAYS, Edge, layout, longest_paths, spaced
from gui.widgets.graph_parts import MOST, Graph, edges_of, graph_of
from tests.gui import model_answers

BOX = (100.0, 40.0)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[Edge]]:
    count = draw(st.integers(1, 30))
    numbers = st.integers(0, count - 1)
    pairs = draw(st.lists(st.tuples(numbers, numbers), max_size=50))
    return count, sorted({(a, b) for a, b in pairs if a < b})


@given(graphs())
@settings(max_examples=60)
def test_no_boxes_overlap_and_every_line_goes_down(graph: tuple[int, list[Edge]]) -> None:
    count, edges = graph
    sizes = [BOX if number % 3 else (40.0, 20.0) for number in range(count)]

    drawn = layout(sizes, edges)

    for number, one in enumerate(drawn.boxes):
        assert 0 <= one.x <= one.x + one.width <= drawn.width + 1e-6
        for other in drawn.boxes[number + 1 :]:
            beside = one.x + one.width <= other.x + 1e-6 or other.x + other.width <= one.x + 1e-6
            assert beside or one.bottom <= other.y or other.bottom <= one.y
    for (start, end), line in zip(edges, drawn.lines, strict=True):
        heights = [y for _, y in line]
        assert heights == sorted(heights)
        assert line[0] == (drawn.boxes[start].middle, drawn.boxes[start].bottom)
        assert line[-1] == (drawn.boxes[end].middle, drawn.boxes[end].y)


@given(graphs())
@settings(max_examples=60)
def test_a_box_lies_below_all_that_it_reads(graph: tuple[int, list[Edge]]) -> None:
    count, edges = graph

    layers = longest_paths(count, edges)

    assert all(layers[start] < layers[end] for start, end in edges)
    assert min(layers) >= 0


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20))
def test_neighbours_keep_their_order_and_their_room(wanted: list[float]) -> None:
    placed = spaced(wanted, [10.0] * len(wanted), [1.0] * len(wanted))

    gaps = [b - a for a, b in pairwise(placed)]
    assert all(gap >= 10.0 + SIDEWAYS - 1e-6 for gap in gaps)


def test_what_is_far_enough_apart_stays_where_it_wants_to_be() -> None:
    assert spaced([0.0, 100.0], [10.0, 10.0], [1.0, 1.0]) == [0.0, 100.0]


def test_two_that_want_the_same_place_share_the_way_there() -> None:
    # each has to be 5 + 26 + 5 = 36 from the other, so both move by 18
    assert spaced([50.0, 50.0], [10.0, 10.0], [1.0, 1.0]) == [32.0, 68.0]


def test_a_chain_is_drawn_straight() -> None:
    drawn = layout([BOX] * 5, [(n, n + 1) for n in range(4)])

    assert len({box.x for box in drawn.boxes}) == 1


def test_a_stored_weight_stands_beside_the_way_of_the_values() -> None:
    # 0 -> 1 -> 3, and 2 is a stored weight that 3 reads too
    drawn = layout([BOX] * 4, [(0, 1), (1, 3), (2, 3)])

    middles = [box.middle for box in drawn.boxes]
    assert drawn.boxes[2].layer == drawn.boxes[1].layer
    assert abs(middles[3] - middles[1]) < abs(middles[3] - middles[2]) / 2


def test_a_line_past_very_many_layers_needs_no_places_on_them() -> None:
    count = 400

    drawn = layout([BOX] * count, [*((n, n + 1) for n in range(count - 1)), (0, count - 1)])

    assert drawn.width == BOX[0]
    assert len(drawn.lines[-1]) == 2


def test_the_lines_of_a_graph_come_from_the_names_of_its_values() -> None:
    graph = graph_of(model_answers.inspected(["a", "--graph"]))

    names = [vertex.name for vertex in graph.vertices]
    pairs = {(names[a], names[b]) for a, b in graph.edges}
    assert ("image", "stem") in pairs
    assert ("probs", "probabilities") in pairs
    assert {a for a, b in pairs if b == "add"} == {"act", model_answers.LONG}


def test_a_value_that_is_made_anew_is_read_from_its_last_maker() -> None:
    graph = graph_of({"nodes": [
        {"op": "Relu", "name": "a", "outputs": ["x"]},
        {"op": "Relu", "name": "b", "outputs": ["x"]},
        {"op": "Relu", "name": "c", "inputs": ["x", "x"], "outputs": ["y"]},
    ]})  # fmt: skip

    assert list(edges_of(graph.vertices)) == [(1, 2)]


def test_a_part_of_a_graph_keeps_the_lines_inside_of_it() -> None:
    nodes = [
        {"op": "Relu", "name": f"n{n}", "inputs": [f"v{n - 1}"], "outputs": [f"v{n}"]}
        for n in range(MOST + 10)
    ]
    graph = graph_of({"nodes": nodes})

    part = graph.part(10)

    assert len(part.vertices) == MOST
    assert part.edges[0] == (0, 1)
    assert len(part.edges) == MOST - 1
    assert Graph().part(0) == Graph()
