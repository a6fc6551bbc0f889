/* How the loop calls a loss that lives outside the core; C, so that Cython and C++ agree on it. */
#pragma once

#include <stdint.h>

/* A sum of losses over the rows begin + (offset ? offset[i] : i), i < count, at x; its gradient into `gradient` unless that
   is NULL. Returns 0, or anything else to stop: the reason is then kept by whoever stands behind `user`. Called without
   the GIL. */
typedef int (*steepest_outside_add)(void* user, int64_t begin, const uint32_t* offset, int64_t count, const double* x,
                                    double* gradient, double* value);

struct steepest_outside {
  steepest_outside_add add;
  void* user;
  int64_t rows;
  int64_t parameters;
};

/* The name of capsules that hold a pointer to a struct steepest_outside. */
#define STEEPEST_OUTSIDE_CAPSULE "steepest.outside"
