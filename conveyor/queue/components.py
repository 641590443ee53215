"""Strongly connected components of a directed graph (Tarjan, without recursion), and ways through it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator

Edges = Callable[[str], Iterable[str]]


def components(roots: Iterable[str], edges: Edges) -> Iterator[list[str]]:
    """The components of all that can be reached from the roots: each before those that lead to it."""
    search = _Search(edges)
    for root in roots:
        if root not in search.index:
            yield from search.run(root)


class _Search:
    def __init__(self, edges: Edges) -> None:
        self._edges = edges
        self.index: dict[str, int] = {}
        self._low: dict[str, int] = {}
        self._open: list[str] = []
        self._is_open: set[str] = set()

    def run(self, root: str) -> Iterator[list[str]]:
        path = [(root, self._enter(root))]
        while path:
            node, rest = path[-1]
            child = next(rest, None)
            if child is None:
                path.pop()
                if path:
                    self._lower(path[-1][0], self._low[node])
                if self._low[node] == self.index[node]:
                    yield self._close(node)
            elif child not in self.index:
                path.append((child, self._enter(child)))
            elif child in self._is_open:
                self._lower(node, self.index[child])

    def _enter(self, node: str) -> Iterator[str]:
        self.index[node] = self._low[node] = len(self.index)
        self._open.append(node)
        self._is_open.add(node)
        return iter(self._edges(node))

    def _lower(self, node: str, to: int) -> None:
        self._low[node] = min(self._low[node], to)

    def _close(self, node: str) -> list[str]:
        place = len(self._open) - 1
        while self._open[place] != node:
            place -= 1
        found = self._open[place:]
        del self._open[place:]
        self._is_open.difference_update(found)
        return found


def way_round(start: str, members: Collection[str], edges: Edges) -> tuple[str, ...]:
    """A shortest way from a node back to itself through members of its component; empty where there is none."""
    came_from: dict[str, str] = {}
    waiting = deque([start])
    while waiting:
        node = waiting.popleft()
        for child in sorted(edges(node)):
            if child == start:
                return _back(start, node, came_from)
            if child in members and child not in came_from:
                came_from[child] = node
                waiting.append(child)
    return ()


def _back(start: str, end: str, came_from: dict[str, str]) -> tuple[str, ...]:
    way = [end]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return tuple(reversed(way))
