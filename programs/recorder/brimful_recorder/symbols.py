"""Numbers and texts that remember where they come from: a config key, a tensor's size, or arithmetic over them."""

import math
import operator
from contextlib import contextmanager

# How strongly an expression's outermost operator binds; brackets are written only where a weaker one stands inside.
ATOM, POWER, UNARY, PRODUCT, SUM = 5, 4, 3, 2, 1

_STRENGTH = {"+": SUM, "-": SUM, "*": PRODUCT, "//": PRODUCT, "%": PRODUCT, "/": PRODUCT, "**": POWER}


class Guards:
    """Who hears of comparisons and of texts that were looked at. One recording at a time sets the hooks."""

    def __init__(self):
        self.on_check = None
        self.on_read = None
        self.off = 0

    def check(self, text, result):
        """The recording went the way that `result` says."""
        if self.on_check is not None and not self.off:
            self.on_check(text, bool(result))

    def read(self, key):
        """The value of `key`, which is no number, decided something."""
        if self.on_read is not None and not self.off:
            self.on_read(key)

    @contextmanager
    def silent(self):
        """Comparisons inside are not the model's."""
        self.off += 1
        try:
            yield
        finally:
            self.off -= 1


GUARDS = Guards()


def _decided(result, value):
    """Truth of a number. That a size is not 0 goes without saying."""
    if not result or value.strength != ATOM:
        GUARDS.check(f"({value.text} != 0)", result)
    return result


class Integer(int):
    """An integer with its expression."""

    def __new__(cls, value, text, strength=ATOM):
        """`text` is the expression, whose outermost operator has this strength."""
        made = int.__new__(cls, value)
        made.text, made.strength = text, strength
        return made

    def __hash__(self):
        return int.__hash__(self)

    def __str__(self):
        return int.__repr__(self)

    __repr__ = __str__

    def __format__(self, spec):
        return int.__format__(int(self), spec)

    def __reduce__(self):
        return (int, (int(self),))

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __neg__(self):
        return Integer(-int(self), "-" + bracketed(self, UNARY), UNARY)

    def __bool__(self):
        return _decided(int(self) != 0, self)


class Number(float):
    """A float with its expression."""

    def __new__(cls, value, text, strength=ATOM):
        """`text` is the expression, whose outermost operator has this strength."""
        made = float.__new__(cls, value)
        made.text, made.strength = text, strength
        # Whether the expression is that of an integer.
        made.whole = False
        return made

    def __hash__(self):
        return float.__hash__(self)

    def __str__(self):
        return float.__repr__(self)

    __repr__ = __str__

    def __format__(self, spec):
        return float.__format__(float(self), spec)

    def __reduce__(self):
        return (float, (float(self),))

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __neg__(self):
        return Number(-float(self), "-" + bracketed(self, UNARY), UNARY)

    def __bool__(self):
        return _decided(float(self) != 0.0, self)


class Text(str):
    """A text of the config with its key: comparing it is a decision of the model's."""

    def __new__(cls, value, key):
        """`key` is where the config has it."""
        made = str.__new__(cls, value)
        made.key = key
        return made

    def __eq__(self, other):
        GUARDS.read(self.key)
        return str.__eq__(self, other)

    def __ne__(self, other):
        GUARDS.read(self.key)
        return str.__ne__(self, other)

    def __hash__(self):
        GUARDS.read(self.key)
        return str.__hash__(self)

    def __contains__(self, part):
        GUARDS.read(self.key)
        return str.__contains__(self, part)

    def __reduce__(self):
        return (str, (str(self),))

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


class Shape(tuple):
    """A tensor's sizes as symbols; it behaves as torch.Size does."""

    def numel(self):
        """The product of the sizes."""
        product = 1
        for size in self:
            product = product * size
        return product

    def __getitem__(self, index):
        item = tuple.__getitem__(self, index)
        return Shape(item) if isinstance(index, slice) else item

    def __add__(self, other):
        return Shape(tuple(self) + tuple(other))


def text_of(value):
    """The expression of a number."""
    if isinstance(value, (Integer, Number)):
        return value.text
    if isinstance(value, float):
        return float_text(value)
    # A flag in a sum counts as 0 or 1.
    return repr(int(value) if isinstance(value, bool) else value)


def float_text(value):
    """A float literal, as the format writes it."""
    return f"float({value!r})" if value != value or value in (math.inf, -math.inf) else repr(float(value))


def bracketed(value, strength):
    """The expression, in brackets if its operator binds less than `strength`."""
    text = text_of(value)
    inner = getattr(value, "strength", UNARY if text.startswith("-") else ATOM)
    return f"({text})" if inner < strength else text


def _plain(value):
    if isinstance(value, Integer):
        return int(value)
    return float(value) if isinstance(value, Number) else value


class _CarryingInt(type):
    """`int` for modeling code: `isinstance` asks for integers, and a call keeps expressions."""

    def __instancecheck__(cls, value):
        return isinstance(value, int)

    def __call__(cls, *args):
        value = int(*args)
        if args and isinstance(args[0], Integer):
            return args[0]
        if not args or not isinstance(args[0], Number):
            return value
        number = args[0]
        return Integer(value, number.text, number.strength) if number.whole else Integer(value, f"int({number.text})")


class CarryingInt(metaclass=_CarryingInt):
    """Stands for `int` in modules that round products of sizes and shares."""


def _same(symbol, left, right, left_value, right_value):
    """The operand that an operation with a neutral number leaves as it is."""
    neutral = {"+": 0, "*": 1}.get(symbol)
    if neutral is not None and type(left) is int and left_value == neutral:
        return right
    if symbol == "-":
        neutral = 0
    if symbol == "//":
        neutral = 1
    return left if neutral is not None and type(right) is int and right_value == neutral else None


def _combined(symbol, function, left, right):
    left_value, right_value = _plain(left), _plain(right)
    value = function(left_value, right_value)
    if not isinstance(value, (int, float)):
        return value
    kept = _same(symbol, left, right, left_value, right_value)
    if kept is not None:
        return kept
    if symbol == "*" and 1.0 in (left_value, right_value) and float in (type(left), type(right)):
        number = right if type(left) is float else left
        made = Number(value, number.text, number.strength)
        made.whole = isinstance(number, Integer)
        return made
    strength = _STRENGTH[symbol]
    # `a - (b - c)` and `a // (b // c)` need brackets on the right only; `**` binds to the right.
    on_left = strength + 1 if symbol == "**" else strength
    on_right = strength if symbol == "**" else strength + 1
    text = f"{bracketed(left, on_left)} {symbol} {bracketed(right, on_right)}"
    return (Integer if isinstance(value, int) else Number)(value, text, strength)


def _arithmetic(cls, name, symbol, function):
    def forward(self, other):
        return _combined(symbol, function, self, other) if isinstance(other, (int, float)) else NotImplemented

    def backward(self, other):
        return _combined(symbol, function, other, self) if isinstance(other, (int, float)) else NotImplemented

    setattr(cls, f"__{name}__", forward)
    setattr(cls, f"__r{name}__", backward)


def _comparison(cls, name, symbol, function):
    def compare(self, other):
        if not isinstance(other, (int, float)):
            return NotImplemented
        result = function(_plain(self), _plain(other))
        if self is not other:
            GUARDS.check(f"({text_of(self)} {symbol} {text_of(other)})", result)
        return result

    setattr(cls, f"__{name}__", compare)


for _cls in (Integer, Number):
    for _name, _symbol, _function in [
        ("add", "+", operator.add),
        ("sub", "-", operator.sub),
        ("mul", "*", operator.mul),
        ("floordiv", "//", operator.floordiv),
        ("mod", "%", operator.mod),
        ("truediv", "/", operator.truediv),
        ("pow", "**", operator.pow),
    ]:
        _arithmetic(_cls, _name, _symbol, _function)
    for _name, _symbol in [("eq", "=="), ("ne", "!="), ("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">=")]:
        _comparison(_cls, _name, _symbol, getattr(operator, _name))


def _carried(function):
    name = function.__name__

    def carry(*values):
        result = function(*values)
        if not any(isinstance(value, (Integer, Number)) for value in values):
            return result
        text = f"{name}({', '.join(text_of(value) for value in values)})"
        return (Integer if isinstance(result, int) else Number)(result, text)

    return carry


def _extreme(function, prefers):
    """`min` or `max` of two numbers keeps both expressions instead of choosing one."""

    def choose(*values, **options):
        symbols = [isinstance(value, Integer) for value in values]
        if options or len(values) != 2 or not any(symbols):
            return function(*values, **options)
        first, second = values
        if not (isinstance(first, int) and isinstance(second, int)):
            return function(*values)
        chosen = function(int(first), int(second))
        return Integer(chosen, f"{prefers}({text_of(first)}, {text_of(second)})")

    return choose


@contextmanager
def numbers_carried():
    """`math.sqrt`, `min` and their like keep expressions inside."""
    import builtins

    math_functions = {name: getattr(math, name) for name in ("sqrt", "log", "log2", "ceil", "floor", "exp", "pow")}
    plain_min, plain_max = builtins.min, builtins.max
    for name, function in math_functions.items():
        setattr(math, name, _carried(function))
    builtins.min, builtins.max = _extreme(plain_min, "min"), _extreme(plain_max, "max")
    try:
        yield
    finally:
        builtins.min, builtins.max = plain_min, plain_max
        for name, function in math_functions.items():
            setattr(math, name, function)
