"""All-or-nothing patching that leaves no residue."""

from __future__ import annotations

import functools
import gc
import types
import weakref

import pytest

from keras_otel._patching import PatchSet


def marking(mark):
    """A wrap that adds a mark to what the original returns."""

    def wrap(original):
        @functools.wraps(original)
        def wrapper(self):
            return [*original(self), mark]

        return wrapper

    return wrap


@pytest.fixture
def base():
    """A class with methods of its own."""

    class Base:
        def predict(self):
            return ["base"]

        def call(self):
            return ["called"]

    return Base


@pytest.fixture
def child(base):
    """A class that inherits all its methods."""

    class Child(base):
        pass

    return Child


def test_an_own_attribute_is_put_back(base):
    """The very function that was there is there again."""
    before = dict(vars(base))
    patches = PatchSet()

    patches.install(base, {"predict": marking("ours"), "call": marking("ours")})
    assert base().predict() == ["base", "ours"]
    assert base().call() == ["called", "ours"]
    patches.undo()

    assert dict(vars(base)) == before


def test_an_inherited_attribute_is_deleted_again(base, child):
    """Patching a child touches no parent and leaves no attribute on the child."""
    before = dict(vars(child))
    patches = PatchSet()

    patches.install(child, {"predict": marking("ours")})
    assert child().predict() == ["base", "ours"]
    assert base().predict() == ["base"]
    patches.undo()

    assert "predict" not in vars(child)
    assert dict(vars(child)) == before
    assert child().predict() == ["base"]


def test_annotations_that_python_adds_meanwhile_go_too(child):
    """Reading `__annotations__` writes an empty dict on a class; it is not left behind."""
    patches = PatchSet()
    before = set(vars(child))

    patches.install(child, {"predict": marking("ours")})
    assert child.__annotations__ == {}
    patches.undo()

    assert set(vars(child)) == before


def test_annotations_of_the_class_stay():
    """What the class itself annotates is not ours to remove."""

    class Annotated:
        size: int

        def predict(self):
            return []

    patches = PatchSet()
    patches.install(Annotated, {"predict": marking("ours")})
    patches.undo()

    assert set(Annotated.__annotations__) == {"size"}


@pytest.mark.parametrize("missing", ["nothing", "raises"])
def test_a_target_that_fails_undoes_the_others(base, missing):
    """If the third target is missing or its wrap raises, the first two are put back."""
    before = dict(vars(base))
    patches = PatchSet()

    def refuse(original):
        raise RuntimeError("no")

    wraps = {"predict": marking("ours"), "call": marking("ours")}
    wraps[{"nothing": "absent", "raises": "__repr__"}[missing]] = refuse
    with pytest.raises((AttributeError, RuntimeError)):
        patches.install(base, wraps)

    assert dict(vars(base)) == before
    assert patches.installed == ()


def test_what_someone_put_over_ours_stays(base):
    """Undoing does not remove another library's wrapper, and ours lies beneath it."""
    patches = PatchSet()
    patches.install(base, {"predict": marking("ours"), "call": marking("ours")})
    theirs = base.predict = marking("theirs")(base.predict)

    patches.undo()

    assert vars(base)["predict"] is theirs
    assert base().predict() == ["base", "ours", "theirs"]
    assert base().call() == ["called"]


def test_undoing_twice_is_harmless(base):
    """A second undo does not undo what was set since then."""
    patches = PatchSet()
    patches.install(base, {"predict": marking("ours")})
    patches.undo()
    theirs = base.predict = marking("theirs")(base.predict)

    patches.undo()

    assert vars(base)["predict"] is theirs
    assert base().predict() == ["base", "theirs"]


def test_patches_are_undone_last_first(base):
    """The same attribute patched twice comes back as it was at first."""
    original = base.predict
    patches = PatchSet()
    patches.install(base, {"predict": marking("first")})
    patches.install(base, {"predict": marking("second")})
    assert base().predict() == ["base", "first", "second"]

    patches.undo()

    assert vars(base)["predict"] is original


def test_a_function_of_a_module_is_put_back():
    """Modules are patched as classes are, and named as such."""
    module = types.ModuleType("saving")
    original = module.load = lambda path: [path]
    patches = PatchSet()

    patches.install(module, {"load": marking("ours")})
    assert patches.installed == ("saving.load",)
    assert module.load("a") == ["a", "ours"]
    patches.undo()

    assert module.load is original


def test_what_is_installed_is_named(base):
    """The names of what is patched are dotted, and none are left after the undo."""
    patches = PatchSet()
    patches.install(base, {"predict": marking("ours")})

    (name,) = patches.installed
    assert name == f"{base.__module__}.{base.__qualname__}.predict"
    patches.undo()
    assert patches.installed == ()


def test_a_hundred_cycles_leave_nothing(child):
    """Patching again and again leaves the class as it was, with no wrapper in a wrapper."""
    before = dict(vars(child))
    patches = PatchSet()
    for _ in range(100):
        patches.install(child, {"predict": marking("ours")})
        assert child().predict() == ["base", "ours"]
        patches.undo()

    assert dict(vars(child)) == before


def test_a_weak_patch_is_undone(base):
    """A function of a user's class comes back as it was."""
    original = base.predict
    patches = PatchSet()

    patches.install_weakly(base, "predict", marking("ours"))
    assert base().predict() == ["base", "ours"]
    patches.undo()

    assert vars(base)["predict"] is original


def test_a_weak_patch_that_someone_wrapped_stays(base):
    """Another library's wrapper over a user's class is not removed either."""
    patches = PatchSet()
    patches.install_weakly(base, "predict", marking("ours"))
    theirs = base.predict = marking("theirs")(base.predict)

    patches.undo()

    assert vars(base)["predict"] is theirs


def test_a_weak_patch_does_not_keep_the_class():
    """A class that its program drops is gone, though it was patched."""
    patches = PatchSet()

    class Passing:
        def predict(self):
            return []

    patches.install_weakly(Passing, "predict", marking("ours"))
    reference = weakref.ref(Passing)
    del Passing
    gc.collect()

    assert reference() is None
    patches.undo()
