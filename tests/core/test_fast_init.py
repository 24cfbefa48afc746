from __future__ import annotations

import pickle

import attrs
import pytest

from eventbus import events, items
from eventbus._fast_init import constructor

CLASSES = [
    *events.RealtimeModelEvent.__args__,
    *items.ContentPart.__args__,
    *items.RealtimeItem.__args__,
]


def values_for(cls):
    """
    Return something for each field that a constructor takes.
    """
    names = [name for name in attrs.fields_dict(cls) if name not in ("type", "role", "heard")]
    return {name: (f"the {name}",) for name in names}


@pytest.mark.parametrize("cls", CLASSES)
def test_made_object_is_what_the_class_makes(cls):
    """
    It has the class, the value and the fields of one that came from the class itself.
    """
    values = values_for(cls)

    made = constructor(cls)(*values.values())

    assert type(made) is cls
    assert made == cls(**values)
    assert attrs.asdict(made) == attrs.asdict(cls(**values))
    assert pickle.loads(pickle.dumps(made)) == made


@pytest.mark.parametrize("cls", CLASSES)
def test_made_object_is_frozen(cls):
    """
    It refuses to be changed, like any other of its class.
    """
    made = constructor(cls)(*values_for(cls).values())

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.type = "another"


@pytest.mark.parametrize("cls", CLASSES)
def test_vocabulary_never_needs_the_slow_way(cls):
    """
    Every class of the vocabulary has a layout that the shortcut can use.
    """
    assert constructor(cls).__name__ == "make"


@attrs.frozen(slots=False)
class WithDict:
    left: int
    right: int
    type: str = "with_dict"


@attrs.frozen
class Checked:
    left: int = attrs.field(validator=attrs.validators.instance_of(int))
    right: int
    type: str = "checked"


@attrs.frozen
class Base:
    left: int


@attrs.frozen
class Derived(Base):
    right: int
    type: str = "derived"


@pytest.mark.parametrize("cls", [WithDict, Checked, Derived])
def test_class_that_has_no_twin_is_called(cls):
    """
    Without slots, with a validator or with inherited fields, the class makes its objects itself.
    """
    assert constructor(cls)(1, 2) == cls(1, 2)


def test_validator_is_not_bypassed():
    """
    A class that checks its values checks these, too.
    """
    with pytest.raises(TypeError):
        constructor(Checked)("one", 2)
