// Fused operators of libtorch that the `tch` crate does not wrap, behind a C interface. Tensors are those of
// `torch-sys`: pointers to at::Tensor. Every function returns null, or an error message that the caller frees.

#include <cstdint>
#include <cstring>
#include <exception>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_thnn_fused_lstm_cell.h>
#include <ATen/ops/_thnn_fused_lstm_cell_backward_impl.h>
#include <c10/util/Exception.h>

namespace {

template <typename F> char *guarded(F action) {
  try {
    action();
    return nullptr;
  } catch (const c10::Error &error) {
    return strdup(error.what_without_backtrace());
  } catch (const std::exception &error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("an exception that is not a std::exception");
  }
}

std::vector<at::Tensor> list(at::Tensor *const *tensors, int64_t count) {
  std::vector<at::Tensor> result;
  result.reserve(count);
  for (int64_t i = 0; i < count; ++i) {
    result.push_back(*tensors[i]);
  }
  return result;
}

} // namespace

extern "C" {

// out: the new hidden state, the new cell state, and the activated gates, which the backward pass needs.
char *colearn_lstm_cell(at::Tensor **out, const at::Tensor *input_gates, const at::Tensor *hidden_gates,
                        const at::Tensor *cell) {
  return guarded([&] {
    auto [hidden_now, cell_now, gates] =
        at::_thnn_fused_lstm_cell(*input_gates, *hidden_gates, *cell, std::nullopt, std::nullopt);
    out[0] = new at::Tensor(std::move(hidden_now));
    out[1] = new at::Tensor(std::move(cell_now));
    out[2] = new at::Tensor(std::move(gates));
  });
}

// out: the gradients of the gates' preactivations and of the previous cell state. dcell may be null.
char *colearn_lstm_cell_backward(at::Tensor **out, const at::Tensor *dhidden, const at::Tensor *dcell,
                                 const at::Tensor *cell_before, const at::Tensor *cell_now,
                                 const at::Tensor *gates) {
  return guarded([&] {
    std::optional<at::Tensor> arriving;
    if (dcell != nullptr) {
      arriving = *dcell;
    }
    auto [dgates, dbefore, dbias] =
        at::_thnn_fused_lstm_cell_backward_impl(*dhidden, arriving, *cell_before, *cell_now, *gates, false);
    out[0] = new at::Tensor(std::move(dgates));
    out[1] = new at::Tensor(std::move(dbefore));
  });
}

// One step of Adam for `count` tensors that have one learning rate and one set of constants.
char *colearn_adam(at::Tensor *const *parameters, at::Tensor *const *gradients, at::Tensor *const *means,
                   at::Tensor *const *squares, at::Tensor *const *steps, int64_t count, double learning_rate,
                   double beta1, double beta2, double weight_decay, double epsilon) {
  return guarded([&] {
    at::_fused_adam_(list(parameters, count), list(gradients, count), list(means, count), list(squares, count),
                     {}, list(steps, count), learning_rate, beta1, beta2, weight_decay, epsilon,
                     /*amsgrad=*/false, /*maximize=*/false);
  });
}
}

// MKL's matrix product in single precision (the BLAS routine SGEMM), null if this libtorch is built without MKL.
extern "C" __attribute__((weak)) void
sgemm_(const char *, const char *, const int *, const int *, const int *, const float *, const float *, const int *,
       const float *, const int *, const float *, float *, const int *);
extern "C" __attribute__((weak)) void MKL_Get_Version_String(char *, int);

using Sgemm = decltype(&sgemm_);

extern "C" Sgemm colearn_sgemm() { return MKL_Get_Version_String ? sgemm_ : nullptr; }
