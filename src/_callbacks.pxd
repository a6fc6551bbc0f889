# The cimport interface of steepest for other packages:
#
#     from steepest._callbacks cimport loss_capsule, ptrdiff_t
#
#     cdef double squares(const double* theta, ptrdiff_t k, const double* X, ptrdiff_t rows, ptrdiff_t cols,
#                         const double* y, double* grad, void* user) noexcept nogil:
#         ...
#
#     result = steepest.minimize(loss_capsule(squares, NULL), (X, y), x0=..., step_size=...)
#
# It needs no header of steepest: all declared here is C that Cython writes into the importing module itself.

from cpython.pycapsule cimport PyCapsule_New, PyCapsule_SetContext
from libc.stddef cimport ptrdiff_t

# A loss of a contiguous block of rows. It returns the SUM of their losses and writes the SUM of their gradients.
#
#   theta  the k parameters
#   X      rows x cols numbers, row after row; NULL, with cols 0, for a model without features
#   y      one number for each row (or as many as y has columns, row after row)
#   grad   k numbers, all zero on entry, never NULL: set or added to, both are right
#   user   what was given with the function
#
# It is called without the GIL, for blocks of at most a few thousand rows of the batch, and writes to nothing but grad and
# what user stands for. A result that is not finite counts as divergence. A function that Cython compiled without noexcept
# may raise, if its capsule comes from __pyx_capi__ (`cdef api`): the exception reaches the caller.
ctypedef double (*steepest_loss)(const double* theta, ptrdiff_t k, const double* X, ptrdiff_t rows, ptrdiff_t cols,
                                 const double* y, double* grad, void* user) noexcept nogil


cdef inline object loss_capsule(steepest_loss function, void* user):
    """Make of a C function and its user data (which has to outlive the result) a loss that `minimize` takes."""
    capsule = PyCapsule_New(
        <void*>function,
        b"double (double const *, ptrdiff_t, double const *, ptrdiff_t, ptrdiff_t, double const *, double *, void *)",
        NULL,
    )
    PyCapsule_SetContext(capsule, user)
    return capsule


cdef class PointerLoss:
    # The C side's view of all below; its address is what the core hands back with every call.
    cdef void* walk
    cdef object X, y, keep

    cdef readonly Py_ssize_t rows
    cdef readonly Py_ssize_t parameters
    cdef public object exception
