"""The last step of a subclassed model's `call`, as its source says it.

Which layer makes the output of a `call` cannot be asked of Keras, so the source is read: every
`return` must give out the same layer or the same activation, straight or by way of a variable that
was set on the path to it. Anything else (arithmetic, branches, several outputs) says nothing.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final
from weakref import WeakKeyDictionary

_RESHAPING: Final = frozenset({"squeeze", "reshape", "cast", "flatten", "identity"})
_DEPTH: Final = 16


@dataclass(frozen=True, slots=True)
class LastStep:
    """What `call` does last.

    Attributes:
        path: Attributes that lead to what is called: `("head",)` for `self.head(x)`, or from a
            module that `call` sees, as in `("ops", "softmax")`.
        is_own: Whether the path begins at the model itself.
        index: Place in a list of layers; None where it is no list.
        argument: The last step before, if this one may pass its numbers on.
        is_reshaped: Whether the numbers are given another shape afterwards.
        keywords: Names of the arguments that are given by name.
    """

    path: tuple[str, ...]
    is_own: bool
    index: int | None = None
    argument: LastStep | None = None
    is_reshaped: bool = False
    keywords: frozenset[str] = frozenset()

    def reshaped(self) -> LastStep:
        """The same step, its numbers in another shape."""
        return replace(self, is_reshaped=True)


SOMETHING_ELSE: Final = LastStep((), is_own=False)
"""What the source says is no single layer or function."""

_known: Final[WeakKeyDictionary[types.FunctionType, LastStep | None]] = WeakKeyDictionary()


def plain_function(call: Any) -> types.FunctionType | None:
    """The function of the user's behind a `call`, also one that `tf.function` compiles."""
    function = getattr(call, "python_function", call)
    is_plain = isinstance(function, types.FunctionType) and not hasattr(function, "__wrapped__")
    return function if is_plain else None


def last_step(function: types.FunctionType) -> LastStep | None:
    """The last step of a `call`; None where there is no source to read."""
    try:
        return _known[function]
    except KeyError:
        step = _known[function] = _read(function)
        return step


def _read(function: types.FunctionType) -> LastStep | None:
    try:
        module = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    definition = module.body[0] if module.body else None
    if not isinstance(definition, ast.FunctionDef) or definition.name != function.__name__:
        return None
    if not definition.args.args or not _agrees(definition, function.__code__):
        return None
    if any(isinstance(node, ast.Match) for node in ast.walk(definition)):
        return SOMETHING_ELSE
    reader = _Reader(definition)
    return _common({reader.resolve(value, path, _DEPTH) for value, path in reader.returns()})


def _common(steps: set[LastStep | None]) -> LastStep:
    """The step that all returns have in common; what it is given may differ."""
    if len(steps) > 1:
        steps = {None if step is None else replace(step, argument=None) for step in steps}
    return (steps.pop() if len(steps) == 1 else None) or SOMETHING_ELSE


def _agrees(definition: ast.FunctionDef, code: types.CodeType) -> bool:
    """False if the file was changed after it was imported: the source is another function's."""
    names = {node.attr for node in ast.walk(definition) if isinstance(node, ast.Attribute)}
    inner = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    known = set(code.co_names).union(*(constant.co_names for constant in inner))
    return names <= known


Path = tuple[ast.AST, ...]
"""A statement and the statements around it, outermost first."""


class _Reader:
    """One `call`: its statements in order, with what is around each."""

    def __init__(self, definition: ast.FunctionDef) -> None:
        self._self = definition.args.args[0].arg
        self._statements = list(_statements(definition.body, ()))
        self._order = {id(statement): i for i, (statement, _) in enumerate(self._statements)}

    def returns(self) -> list[tuple[ast.expr | None, Path]]:
        """Every value that is returned, with its place."""
        return [(s.value, path) for s, path in self._statements if isinstance(s, ast.Return)]

    def resolve(self, value: ast.expr | None, path: Path, depth: int) -> LastStep | None:
        """The step that makes a value."""
        if depth == 0:
            return None
        match value:
            case ast.Name(id=name):
                return self._assigned(name, path, depth)
            case ast.Subscript(value=inner, slice=part) if not _selects(part):
                step = self.resolve(inner, path, depth - 1)
                return None if step is None else step.reshaped()
            case ast.Call(func=function, args=[first, *_]):
                return self._called(value, function, (first, path), depth)
        return None

    def _called(
        self, call: ast.Call, function: ast.expr, argument: tuple[ast.expr, Path], depth: int
    ) -> LastStep | None:
        index = None
        if isinstance(function, ast.Subscript):
            index = _constant_index(function.slice)
            function = function.value
            if index is None:
                return None
        names = _dotted(function)
        if names is None:
            return None
        before = self.resolve(*argument, depth - 1)
        if names[-1] in _RESHAPING and names[0] != self._self:
            return None if before is None else before.reshaped()
        is_own = names[0] == self._self and len(names) > 1
        keywords = frozenset(str(k.arg) for k in call.keywords)
        if len(call.args) > 1:
            keywords |= {"axis"}  # perhaps: it is the second argument of a softmax
        path = names[1:] if is_own else names
        return LastStep(path, is_own, index, before, keywords=keywords)

    def _assigned(self, name: str, path: Path, depth: int) -> LastStep | None:
        """The value of a variable, if the last statement that sets it is on the path to here."""
        earlier = self._statements[: self._order[id(path[-1])]]
        before = [(statement, around) for statement, around in earlier if _sets(statement, name)]
        if not before:
            return None
        statement, around = before[-1]
        if around[:-1] != path[: len(around) - 1]:
            return self._last_of_loop(statement, around, path)
        if any(isinstance(outer, (ast.For, ast.While)) for outer in around[:-1]):
            return None
        match statement:
            case ast.Assign(targets=[ast.Name()], value=value):
                return self.resolve(value, around, depth - 1)
            case ast.AnnAssign(value=value):
                return self.resolve(value, around, depth - 1)
        return None

    def _last_of_loop(self, statement: ast.AST, around: Path, path: Path) -> LastStep | None:
        """The last layer of a list that is called one after another: `for layer in self.blocks`."""
        if len(around) < 3 or around[:-3] != path[: len(around) - 3]:
            return None
        match around[-3], statement:
            case (
                ast.For(target=ast.Name(id=item), iter=layers, body=[_], orelse=[]),
                ast.Assign(targets=[ast.Name()], value=ast.Call(func=ast.Name(id=called))),
            ) if item == called:
                names = _dotted(layers)
                if names is not None and names[0] == self._self and len(names) > 1:
                    return LastStep(names[1:], is_own=True, index=-1)
        return None


def _statements(body: list[ast.stmt], around: Path) -> Iterator[tuple[ast.stmt, Path]]:
    for statement in body:
        path = (*around, statement)
        yield statement, path
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        if isinstance(statement, ast.With):
            yield from _statements(statement.body, around)
            continue
        for part in ("body", "orelse", "finalbody"):
            block = getattr(statement, part, [])
            # A marker for each arm, so that one arm of an `if` is not on the path of the other.
            yield from _statements(block, (*path, ast.Constant(part)) if block else path)
        for handler in getattr(statement, "handlers", []):
            yield from _statements(handler.body, (*path, handler))


def _sets(statement: ast.stmt, name: str) -> bool:
    if isinstance(statement, (ast.If, ast.With, ast.Try, ast.FunctionDef, ast.ClassDef)):
        return isinstance(statement, ast.With) and _stores(statement.items, name)
    if isinstance(statement, (ast.For, ast.While)):
        return isinstance(statement, ast.For) and _stores([statement.target], name)
    return _stores([statement], name)


def _stores(nodes: list[Any], name: str) -> bool:
    return any(_is_set(inner, name) for node in nodes for inner in ast.walk(node))


def _is_set(node: ast.AST, name: str) -> bool:
    """True for `name` and for `name[...]` where they are given a value."""
    if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
        return isinstance(node.value, ast.Name) and node.value.id == name
    return isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load)


def _selects(part: ast.expr) -> bool:
    """True if a subscript may take some of the columns, or put them in another order."""
    last = part.elts[-1] if isinstance(part, ast.Tuple) and part.elts else part
    if isinstance(last, ast.Slice):
        return any((last.lower, last.upper, last.step))
    try:
        return isinstance(ast.literal_eval(last), list)
    except ValueError:
        return True


def _dotted(node: ast.expr) -> tuple[str, ...] | None:
    match node:
        case ast.Name(id=name):
            return (name,)
        case ast.Attribute(value=inner, attr=attr):
            before = _dotted(inner)
            return None if before is None else (*before, attr)
    return None


def _constant_index(node: ast.expr) -> int | None:
    try:
        index = ast.literal_eval(node)
    except ValueError:
        return None
    return index if type(index) is int else None
