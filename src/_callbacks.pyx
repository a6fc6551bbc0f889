"""Losses that live outside the core: Python callables, and C functions that run without the GIL.

Both stand behind the same C face (outside.h), which the core calls for the rows of a batch. Python callables return
means, as is the custom; C functions return sums, the only thing that can be put together from blocks, and what the core
asks for.
An exception cannot cross the core: it is kept here, and whoever called the core raises it again, the same object.
"""

import ctypes
import numbers
import re
import sys

import numpy as np
from _ctypes import FUNCFLAG_PYTHONAPI

from cpython.buffer cimport PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree
from cpython.pycapsule cimport (
    PyCapsule_CheckExact,
    PyCapsule_GetContext,
    PyCapsule_GetName,
    PyCapsule_GetPointer,
    PyCapsule_New,
    PyCapsule_SetContext,
    PyCapsule_SetDestructor,
)
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy, memset

cdef extern from "outside.h":
    const char* STEEPEST_OUTSIDE_CAPSULE
    ctypedef int (*steepest_outside_add)(void* user, int64_t begin, const uint32_t* offset, int64_t count,
                                         const double* x, double* gradient, double* value) noexcept nogil

    struct steepest_outside:
        steepest_outside_add add
        void* user
        int64_t rows
        int64_t parameters

cdef extern from *:
    """
    #include <chrono>
    #include <cstddef>
    #include <cstdint>
    #include <cstdlib>

    namespace {

    using std::int64_t, std::uint32_t, std::ptrdiff_t;

    using Gather = void (*)(const char* data, ptrdiff_t row_stride, ptrdiff_t column_stride, ptrdiff_t columns,
                            int64_t begin, const uint32_t* offset, int64_t count, double* to);

    // The line of memory is walked along the shorter stride: columns of F order are read as they lie.
    template <class T>
    void gather(const char* data, ptrdiff_t row_stride, ptrdiff_t column_stride, ptrdiff_t columns, int64_t begin,
                const uint32_t* offset, int64_t count, double* to) {
      const auto row = [&](int64_t i) { return data + (begin + (offset ? int64_t(offset[i]) : i)) * row_stride; };
      if (std::abs(column_stride) <= std::abs(row_stride)) {
        for (int64_t i = 0; i < count; ++i) {
          const char* from = row(i);
          for (ptrdiff_t j = 0; j < columns; ++j)
            *to++ = double(*reinterpret_cast<const T*>(from + j * column_stride));
        }
      } else {
        for (ptrdiff_t j = 0; j < columns; ++j)
          for (int64_t i = 0; i < count; ++i)
            to[i * columns + j] = double(*reinterpret_cast<const T*>(row(i) + j * column_stride));
      }
    }

    // By NumPy's letter for the kind of a dtype and its size; null for what has no C type.
    Gather gather_for(int kind, ptrdiff_t size) {
      switch (kind << 8 | int(size)) {
        case 'f' << 8 | 8: return gather<double>;
        case 'f' << 8 | 4: return gather<float>;
        case 'i' << 8 | 8: return gather<int64_t>;
        case 'i' << 8 | 4: return gather<std::int32_t>;
        case 'i' << 8 | 2: return gather<std::int16_t>;
        case 'i' << 8 | 1: return gather<std::int8_t>;
        case 'u' << 8 | 8: return gather<std::uint64_t>;
        case 'u' << 8 | 4: return gather<uint32_t>;
        case 'u' << 8 | 2: return gather<std::uint16_t>;
        case 'u' << 8 | 1:
        case 'b' << 8 | 1: return gather<std::uint8_t>;
      }
      return nullptr;
    }

    // Shows Cython an exception that is set already.
    int pending() { return PyErr_Occurred() ? -1 : 0; }

    double seconds_now() {
      return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
    }

    }  // namespace
    """
    ctypedef void (*Gather)(const char* data, ptrdiff_t row_stride, ptrdiff_t column_stride, ptrdiff_t columns,
                            int64_t begin, const uint32_t* offset, int64_t count, double* to) noexcept nogil
    Gather gather_for(int kind, ptrdiff_t size) noexcept
    int pending() except -1
    double seconds_now() noexcept nogil


cdef void _release(object capsule) noexcept:
    cdef PyObject* owner = <PyObject*>PyCapsule_GetContext(capsule)
    PyMem_RawFree(PyCapsule_GetPointer(capsule, STEEPEST_OUTSIDE_CAPSULE))
    Py_DECREF(<object>owner)


cdef object _capsule_of(object owner, steepest_outside_add add, void* user, int64_t rows, int64_t parameters):
    cdef steepest_outside* face = <steepest_outside*>PyMem_RawCalloc(1, sizeof(steepest_outside))
    if face == NULL:
        raise MemoryError
    face.add, face.user, face.rows, face.parameters = add, user, rows, parameters
    try:
        capsule = PyCapsule_New(face, STEEPEST_OUTSIDE_CAPSULE, NULL)
    except BaseException:
        PyMem_RawFree(face)
        raise
    PyCapsule_SetContext(capsule, <PyObject*>owner)
    Py_INCREF(owner)
    PyCapsule_SetDestructor(capsule, _release)
    return capsule


cdef str _described(object value):
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    text = repr(value)
    return f"{text if len(text) <= 80 else text[:77] + '...'} of type {type(value).__name__}"


cdef void* _memory(object array) except? NULL:
    """The address of the first item, good as long as the array lives; NumPy's headers are not there in every build."""
    cdef Py_buffer buffer
    PyObject_GetBuffer(array, &buffer, PyBUF_STRIDES)
    cdef void* address = buffer.buf
    PyBuffer_Release(&buffer)
    return address


cdef bint _is_real(object value):
    return isinstance(value, float) or isinstance(value, numbers.Real) and not isinstance(value, bool)


cdef class PythonLoss:
    """A loss and its gradient as Python callables ``f(theta, batch)``, each the mean over the batch.

    Parameters
    ----------
    value : callable
        Returns a real number.
    gradient : callable or None
        Returns an array in the shape of theta. None serves where only values are asked for.
    data : ndarray or tuple of ndarray
        Axis 0 runs over the rows and is as long for all of them. A batch has the same structure; its arrays cannot be
        written: views of the data where the rows are consecutive, copies elsewhere.
    x_shape : tuple of int
        The shape of theta, of which the callables get a copy; ``()`` makes it a NumPy scalar.

    Attributes
    ----------
    rows, parameters : int
        What the core is told.
    exception : BaseException or None
        What stopped the last call.
    """

    cdef object value, gradient, arrays
    cdef tuple x_shape
    cdef bint is_tuple
    cdef readonly Py_ssize_t rows
    cdef readonly Py_ssize_t parameters
    cdef public object exception

    def __init__(self, value, gradient, data, tuple x_shape):
        self.value, self.gradient, self.x_shape = value, gradient, x_shape
        self.is_tuple = isinstance(data, tuple)
        # Slices of an array that cannot be written cannot be written either.
        self.arrays = [np.asarray(array).view() for array in (data if self.is_tuple else (data,))]
        lengths = {len(array) for array in self.arrays}
        if len(lengths) != 1:
            raise ValueError(f"arrays of different lengths: {sorted(lengths)}")
        for array in self.arrays:
            array.flags.writeable = False
        self.rows = lengths.pop()
        self.parameters = 1
        for size in x_shape:
            self.parameters *= size

    def capsule(self):
        """Wrap this for the core, which it outlives; see outside.h."""
        return _capsule_of(self, _add_python, <void*>self, self.rows, self.parameters)

    cdef object theta(self, const double* x):
        if not self.x_shape:
            # Not a Python float: its arithmetic raises OverflowError where NumPy's goes to infinity.
            return np.float64(x[0])
        theta = np.empty(self.x_shape)
        memcpy(_memory(theta), x, self.parameters * sizeof(double))
        return theta

    cdef object batch(self, int64_t begin, const uint32_t* offset, int64_t count):
        cdef Py_ssize_t* to
        cdef int64_t i
        cdef list parts
        if offset == NULL:
            parts = [array[begin : begin + count] for array in self.arrays]
        else:
            index = np.empty(count, np.intp)
            to = <Py_ssize_t*>_memory(index)
            for i in range(count):
                to[i] = begin + offset[i]
            parts = [array.take(index, axis=0) for array in self.arrays]
            # The loss and its gradient see the same copies, as they see the same data.
            for part in parts:
                part.flags.writeable = False
        return tuple(parts) if self.is_tuple else parts[0]

    cdef double checked_value(self, object value) except? -1:
        if not _is_real(value):
            array = np.asarray(value)
            if array.ndim != 0 or array.dtype.kind not in "iuf":
                raise TypeError(
                    f"the loss has to return a real number, the mean over the batch; it returned {_described(value)}"
                )
        return float(value)

    cdef int add_gradient(self, object gradient, int64_t count, double* total) except -1:
        cdef const double* mean
        cdef Py_ssize_t i
        array = np.asarray(float(gradient) if _is_real(gradient) else gradient)
        if array.dtype.kind not in "iuf":
            raise TypeError(f"the gradient has to be real numbers; the function returned {_described(gradient)}")
        if array.shape != self.x_shape:
            raise ValueError(f"the gradient has shape {array.shape}, theta has shape {self.x_shape}")
        array = np.ascontiguousarray(array, dtype=np.float64)
        mean = <const double*>_memory(array)
        for i in range(self.parameters):
            total[i] += count * mean[i]
        return 0

    cdef int add(self, int64_t begin, const uint32_t* offset, int64_t count, const double* x,
                 double* gradient, double* value) except -1:
        if gradient != NULL and self.gradient is None:
            raise TypeError("a gradient is needed here: give the pair (loss, gradient) instead of the loss alone")
        batch = self.batch(begin, offset, count)
        value[0] = count * self.checked_value(self.value(self.theta(x), batch))
        if gradient != NULL:
            self.add_gradient(self.gradient(self.theta(x), batch), count, gradient)
        return 0


cdef int _add_python(void* user, int64_t begin, const uint32_t* offset, int64_t count,
                     const double* x, double* gradient, double* value) noexcept nogil:
    with gil:
        try:
            (<PythonLoss>user).add(begin, offset, count, x, gradient, value)
        except BaseException as error:
            (<PythonLoss>user).exception = error
            return -1
    return 0


# A block of rows is handed to a C function at once: short enough to stay in cache, long enough that calls cost nothing.
cdef int64_t block_rows = 4096
cdef int64_t block_bytes = 1 << 20

# Ctrl-C has to get through a pass over all rows, which the core sees as one call.
cdef double seconds_between_looks = 0.02


cdef struct Matrix:
    const char* data
    ptrdiff_t row_stride
    ptrdiff_t column_stride
    ptrdiff_t columns
    bint plain  # float64, row after row: consecutive rows are read where they lie
    Gather gather
    double* block


cdef struct Walk:
    steepest_loss function
    void* user
    PyObject* owner
    ptrdiff_t parameters
    int64_t rows
    Matrix X
    Matrix y
    double* gradient


cdef const double* _block(Matrix* matrix, int64_t begin, const uint32_t* offset, int64_t count) noexcept nogil:
    if matrix.data == NULL:
        return NULL
    if matrix.plain and offset == NULL:
        return <const double*>matrix.data + begin * matrix.columns
    matrix.gather(matrix.data, matrix.row_stride, matrix.column_stride, matrix.columns, begin, offset, count,
                  matrix.block)
    return matrix.block


cdef bint _stopped(Walk* walk) noexcept nogil:
    with gil:
        try:
            pending()
            PyErr_CheckSignals()
        except BaseException as error:
            (<PointerLoss>walk.owner).exception = error
            return True
    return False


cdef int _add_pointer(void* user, int64_t begin, const uint32_t* offset, int64_t count,
                      const double* x, double* gradient, double* value) noexcept nogil:
    cdef Walk* walk = <Walk*>user
    cdef int64_t part
    cdef ptrdiff_t j
    cdef double total = 0, sum = 0, looked = 0
    if count > walk.rows:
        looked = seconds_now()
    while True:
        part = min(walk.rows, count)
        memset(walk.gradient, 0, walk.parameters * sizeof(double))
        sum = walk.function(x, walk.parameters, _block(&walk.X, begin, offset, part), part, walk.X.columns,
                            _block(&walk.y, begin, offset, part), walk.gradient, walk.user)
        # What functions return that Cython compiled without noexcept, when they raise: worth asking for the GIL.
        if sum == -1 and _stopped(walk):
            return -1
        total += sum
        if gradient != NULL:
            for j in range(walk.parameters):
                gradient[j] += walk.gradient[j]
        count -= part
        if count == 0:
            break
        if offset == NULL:
            begin += part
        else:
            offset += part
        if seconds_now() - looked > seconds_between_looks:
            if _stopped(walk):
                return -1
            looked = seconds_now()
    value[0] = total
    return 0


cdef int _view(Matrix* matrix, object array, str name) except -1:
    dtype = array.dtype
    matrix.gather = gather_for(ord(dtype.kind), dtype.itemsize)
    if matrix.gather == NULL or not dtype.isnative or not array.flags.aligned:
        raise TypeError(
            f"{name} has dtype {dtype}{'' if array.flags.aligned else ' and is not aligned'}; a C function is given "
            "what is stored as float64, float32, integers or bool, aligned and in the machine's byte order"
        )
    matrix.data = <const char*>_memory(array)
    matrix.row_stride = array.strides[0]
    matrix.column_stride = array.strides[1] if array.ndim == 2 else dtype.itemsize
    matrix.columns = array.shape[1] if array.ndim == 2 else 1
    matrix.plain = dtype == np.float64 and array.flags.c_contiguous
    return 0


cdef class PointerLoss:
    """A loss as a C function, called without the GIL for blocks of rows; `steepest_loss` in _callbacks.pxd says how.

    Parameters
    ----------
    pointer, user_data : int
        Addresses of the function and of what it gets as its last argument (0 for none); see `function_pointer`.
    X : ndarray of shape (rows, cols) or None
        Of any strides. No more than a block at a time is copied, and nothing where it is float64 in C order and the
        rows are consecutive. None is the model without features.
    y : ndarray of shape (rows,) or (rows, m)
        Read like `X`.
    parameters : int
        The length of theta.
    keep : object, optional
        Whoever owns the memory behind the addresses: kept alive as long as this is.

    Attributes
    ----------
    rows, parameters : int
        What the core is told.
    exception : BaseException or None
        What stopped the last call: an interruption, or what a function raised that Cython compiled.
    """

    def __cinit__(self, size_t pointer, size_t user_data, X, y, Py_ssize_t parameters, keep=None):
        cdef Walk* walk = <Walk*>PyMem_RawCalloc(1, sizeof(Walk))
        if walk == NULL:
            raise MemoryError
        self.walk = walk
        self.X, self.y, self.keep = X, y, keep
        self.rows, self.parameters = len(y), parameters
        if pointer == 0:
            raise ValueError("the function pointer is null")
        if y.ndim not in (1, 2) or y.size == 0:
            raise ValueError(f"y has shape {y.shape}; a C function is given rows of one or more numbers")
        _view(&walk.y, y, "y")
        if X is not None:
            if X.ndim != 2 or X.shape[0] != self.rows or X.shape[1] == 0:
                raise ValueError(f"X has shape {X.shape}; needed: ({self.rows}, columns), as many rows as y")
            _view(&walk.X, X, "X")
        walk.function, walk.user = <steepest_loss><void*>pointer, <void*>user_data
        walk.owner, walk.parameters = <PyObject*>self, parameters
        walk.rows = max(1, min(block_rows, block_bytes // <int64_t>sizeof(double) // (walk.X.columns + walk.y.columns)))
        walk.rows = min(walk.rows, self.rows)
        walk.X.block = <double*>PyMem_RawCalloc(walk.rows * max(walk.X.columns, 1), sizeof(double))
        walk.y.block = <double*>PyMem_RawCalloc(walk.rows * walk.y.columns, sizeof(double))
        walk.gradient = <double*>PyMem_RawCalloc(max(parameters, 1), sizeof(double))
        if walk.X.block == NULL or walk.y.block == NULL or walk.gradient == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef Walk* walk = <Walk*>self.walk
        if walk != NULL:
            PyMem_RawFree(walk.X.block)
            PyMem_RawFree(walk.y.block)
            PyMem_RawFree(walk.gradient)
            PyMem_RawFree(walk)

    def capsule(self):
        """Wrap this for the core, which it outlives; see outside.h."""
        return _capsule_of(self, _add_pointer, self.walk, self.rows, self.parameters)


SIGNATURE = (
    "double (const double *theta, ptrdiff_t k, const double *X, ptrdiff_t rows, ptrdiff_t cols, const double *y, "
    "double *grad, void *user)"
)

# The widths of the whole numbers that C and ctypes know by name; names missing here are somebody's typedefs.
cdef dict _WIDTHS = {
    "char": 1, "short": sizeof(short), "int": sizeof(int), "long": sizeof(long), "long long": sizeof(long long),
    "int8_t": 1, "int16_t": 2, "int32_t": 4, "int64_t": 8, "uint8_t": 1, "uint16_t": 2, "uint32_t": 4, "uint64_t": 8,
    "ptrdiff_t": sizeof(void*), "size_t": sizeof(void*), "ssize_t": sizeof(void*), "Py_ssize_t": sizeof(void*),
    "intptr_t": sizeof(void*), "uintptr_t": sizeof(void*), "npy_intp": sizeof(void*),
}
cdef dict _SPELLINGS = {
    "longlong": "long long", "long int": "long", "long long int": "long long", "short int": "short", "unsigned": "int",
}
cdef set _QUALIFIERS = {"const", "volatile", "restrict", "__restrict", "struct", "signed", "extern", "static"}
cdef set _C_WORDS = {"void", "bool", "_Bool", "char", "short", "int", "long", "float", "double", "unsigned", "longlong"}


cdef tuple _base_and_stars(str declared):
    """Split a C declaration, with a name or without, into its type and the levels of indirection."""
    words = [word for word in re.findall(r"\w+", declared) if word not in _QUALIFIERS]
    base = []
    while words and words[0] in _C_WORDS:
        base.append(words.pop(0))
    if not base:
        base = words[:1]
    if len(base) > 1 and base[0] == "unsigned":
        base = base[1:]
    name = " ".join(base)
    return _SPELLINGS.get(name, name), declared.count("*") + declared.count("[")


cdef bint _fits(str declared, str place):
    base, stars = _base_and_stars(declared)
    is_typedef = not (base in _WIDTHS or base in ("void", "bool", "_Bool", "float", "double", "long double", "ctypes"))
    if place == "anything":
        return stars > 0
    if place == "numbers":
        return stars == 1 and (base in ("double", "void") or is_typedef)
    if place == "index":
        return stars == 0 and (is_typedef or _WIDTHS.get(base) == sizeof(ptrdiff_t))
    return stars == 0 and (is_typedef or base == "double")


cdef int _check_signature(str signature, object named) except -1:
    """Refuse what cannot be called with the arguments of a loss, as far as the text tells."""
    match = re.fullmatch(r"([^()]*)(?:\(\s*\*\s*\w*\s*\))?\s*\((.*)\)[^()]*", signature.strip(), re.DOTALL)
    places = ("numbers", "index", "numbers", "index", "index", "numbers", "numbers", "anything")
    if match is not None:
        arguments = match[2].split(",")
        if not _fits(match[1], "number"):
            raise TypeError(
                f"{named} returns {match[1].strip()!r}, not double; needed: {SIGNATURE}; given: {signature}"
            )
        if len(arguments) != len(places):
            raise TypeError(f"{named} takes {len(arguments)} arguments, not 8; needed: {SIGNATURE}; given: {signature}")
        for at, (argument, place) in enumerate(zip(arguments, places, strict=True)):
            if not _fits(argument, place):
                raise TypeError(
                    f"argument {at} of {named} is {argument.strip()!r}; needed: {SIGNATURE}; given: {signature}"
                )
        return 0
    raise TypeError(f"{named} has no signature that can be read; needed: {SIGNATURE}; given: {signature!r}")


cdef str _ctypes_name(object ctype):
    codes = {"d": "double", "f": "float", "g": "long double", "?": "bool", "b": "char", "B": "char", "c": "char",
             "h": "short", "H": "short", "i": "int", "I": "int", "l": "long", "L": "long", "q": "long long",
             "Q": "long long"}
    if ctype is None:
        return "void"
    dtype = getattr(ctype, "_dtype_", None)  # numpy.ctypeslib.ndpointer
    if dtype is not None:
        return "double *" if dtype == np.float64 else f"ctypes.{dtype.name} *"
    if isinstance(ctype, type) and issubclass(ctype, ctypes._Pointer):
        return _ctypes_name(ctype._type_) + " *"
    if isinstance(ctype, type) and issubclass(ctype, (ctypes.c_void_p, ctypes.c_char_p)):
        return "void *"
    return codes.get(getattr(ctype, "_type_", None)) or "ctypes." + getattr(ctype, "__name__", repr(ctype))


cdef object _ctypes_signature(object function):
    """The signature of a ctypes function pointer, or None where nobody declared one."""
    if function.argtypes is None and function.restype in (ctypes.c_int, ctypes.c_double):
        return None
    arguments = [_ctypes_name(argument) for argument in function.argtypes or ()]
    return f"{_ctypes_name(function.restype)} ({', '.join(arguments)})"


cdef object _capsule_signature(object capsule):
    cdef const char* name = PyCapsule_GetName(capsule)
    return None if name == NULL else (<bytes>name).decode("utf-8", "replace")


cdef tuple _addresses(object capsule):
    cdef const char* name = PyCapsule_GetName(capsule)
    return <size_t>PyCapsule_GetPointer(capsule, name), <size_t>PyCapsule_GetContext(capsule)


cdef tuple _recognised(object obj):
    """Return (address, address of the user data, signature or None, what it is), or None."""
    scipy = sys.modules.get("scipy")
    if scipy is not None and isinstance(obj, scipy.LowLevelCallable):
        # Item 0 is the capsule in which SciPy collects the address, the signature and the user data.
        capsule = tuple.__getitem__(obj, 0)
        return (*_addresses(capsule), _capsule_signature(capsule) or "", "the LowLevelCallable")
    if PyCapsule_CheckExact(obj):
        signature = _capsule_signature(obj)
        # The other capsules are not functions.
        return (*_addresses(obj), signature, "the capsule") if signature is not None and "(" in signature else None
    if isinstance(obj, ctypes._CFuncPtr):
        return ctypes.cast(obj, ctypes.c_void_p).value or 0, 0, _ctypes_signature(obj), "the ctypes function"
    compiled = getattr(obj, "ctypes", None)
    if isinstance(compiled, ctypes._CFuncPtr) and isinstance(getattr(obj, "address", None), int):
        return obj.address, 0, _ctypes_signature(compiled), "the compiled function"
    return None


def is_function_pointer(obj):
    """Tell whether `function_pointer` has an answer or an objection."""
    return _recognised(obj) is not None


def function_pointer(obj):
    """Find the C function behind an object.

    Parameters
    ----------
    obj : object
        A scipy.LowLevelCallable, a numba cfunc, a ctypes function pointer, or a capsule whose name is the signature: an
        entry of a Cython module's ``__pyx_capi__``, or what `loss_capsule` of _callbacks.pxd makes.

    Returns
    -------
    tuple of int or None
        The addresses of the function and of its user data (0 for none); None for anything else.

    Raises
    ------
    TypeError
        When the declared signature is not that of a loss. Where none was declared, as with a bare function of a ctypes
        library, nothing can be checked.
    """
    found = _recognised(obj)
    if found is None:
        return None
    address, user_data, signature, named = found
    if isinstance(obj, ctypes._CFuncPtr) and obj._flags_ & FUNCFLAG_PYTHONAPI:
        raise TypeError(
            "functions of ctypes.PyDLL and ctypes.PYFUNCTYPE need the GIL, without which a loss is called; "
            "use CDLL or CFUNCTYPE"
        )
    if signature is not None:
        _check_signature(signature, named)
    return address, user_data
