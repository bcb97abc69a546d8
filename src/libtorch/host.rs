//! Small tensors in host memory, read and copied without libtorch's dispatcher, which takes longer
//! than the work itself.

use std::{
    ffi::{c_char, c_void},
    ptr,
};

use tch::Tensor;
use torch_sys::C_tensor;

use super::check;
use crate::error::Result;

unsafe extern "C" {
    fn g2d_numbers(tensors: *const *const C_tensor, count: usize, numbers: *mut f64)
    -> *mut c_char;
    fn g2d_integers(tensor: *const C_tensor, to: *mut i64, count: usize) -> *mut c_char;
    fn g2d_select_rows(
        tensor: *const C_tensor,
        rows: *const i64,
        count: usize,
        selected: *mut *mut c_void,
    ) -> *mut c_char;
    fn g2d_detach(tensor: *const C_tensor, detached: *mut *mut c_void) -> *mut c_char;
}

/// The numbers of scalars in host memory.
pub(crate) fn numbers<'a>(scalars: impl Iterator<Item = &'a Tensor>) -> Result<Vec<f64>> {
    let scalars: Vec<_> = scalars.map(Tensor::as_ptr).collect();
    let mut numbers = vec![0.0; scalars.len()];
    // SAFETY: every pointer is a live `at::Tensor*` while its tensor is borrowed, and the shim writes one
    // number for each.
    let message = unsafe { g2d_numbers(scalars.as_ptr(), scalars.len(), numbers.as_mut_ptr()) };
    check("read scalars", message).map(|()| numbers)
}

/// The number of a scalar in host memory.
pub(crate) fn number(scalar: &Tensor) -> Result<f64> {
    let mut number = 0.0;
    // SAFETY: as above, for one tensor.
    let message = unsafe { g2d_numbers(&scalar.as_ptr(), 1, &raw mut number) };
    check("read a scalar", message).map(|()| number)
}

/// The elements of an `Int64` tensor in host memory.
pub(crate) fn integers(tensor: &Tensor) -> Result<Vec<i64>> {
    let mut all = vec![0; tensor.numel()];
    // SAFETY: the pointer is a live `at::Tensor*`; the shim writes as many elements as `all` has, or none.
    let message = unsafe { g2d_integers(tensor.as_ptr(), all.as_mut_ptr(), all.len()) };
    check("read integers", message).map(|()| all)
}

/// The given rows of a tensor [N, …] in host memory, without gradient; an error for a row of N or above.
pub(crate) fn select_rows(tensor: &Tensor, rows: &[i64]) -> Result<Tensor> {
    let mut selected = ptr::null_mut();
    // SAFETY: the pointer is a live `at::Tensor*`, and the shim reads `rows` within its length. Without a
    // message `selected` is a new `at::Tensor*` that this function owns.
    unsafe {
        let (from, to) = (tensor.as_ptr(), &raw mut selected);
        check("select rows", g2d_select_rows(from, rows.as_ptr(), rows.len(), to))?;
        Ok(Tensor::from_ptr(selected.cast()))
    }
}

/// A handle on the elements of `tensor` without its graph.
pub(crate) fn detach(tensor: &Tensor) -> Result<Tensor> {
    let mut detached = ptr::null_mut();
    // SAFETY: the pointer is a live `at::Tensor*`, which the shim reads. Without a message `detached` is a
    // new `at::Tensor*` that this function owns.
    unsafe {
        check("detach a tensor", g2d_detach(tensor.as_ptr(), &raw mut detached))?;
        Ok(Tensor::from_ptr(detached.cast()))
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::{detach, integers, number, numbers, select_rows};

    #[test]
    fn scalars_of_any_dtype_are_read_and_other_tensors_are_refused() {
        let scalars = [
            Tensor::from(0.1_f64),
            Tensor::from(-1.5_f32),
            Tensor::from(2.0_f32).to_kind(Kind::BFloat16),
            Tensor::from(true),
            Tensor::from_slice(&[7_i64, 8]).get(1),
        ];
        assert_eq!(numbers(scalars.iter()).unwrap(), [0.1, -1.5, 2.0, 1.0, 8.0]);
        assert_eq!(number(&scalars[0]).unwrap(), 0.1);
        let vector = Tensor::from_slice(&[1.0, 2.0]);
        assert!(number(&vector).is_err() && number(&Tensor::new()).is_err());
    }

    #[test]
    fn integers_are_read_in_order_from_any_strides() {
        let matrix = Tensor::arange(6, (Kind::Int64, Device::Cpu)).view([2, 3]);
        assert_eq!(integers(&matrix.tr()).unwrap(), [0, 3, 1, 4, 2, 5]);
        assert!(integers(&matrix.to_kind(Kind::Float)).is_err());
    }

    #[test]
    fn rows_are_selected_as_by_index_select() {
        let matrix = Tensor::randn([5, 4, 3], (Kind::Float, Device::Cpu));
        let rows = [4, 0, 4];
        for tensor in [matrix.shallow_clone(), matrix.transpose(1, 2), matrix.to_kind(Kind::Half)] {
            let selected = select_rows(&tensor, &rows).unwrap();
            assert_eq!(selected, tensor.index_select(0, &Tensor::from_slice(&rows)));
        }
        assert_eq!(select_rows(&matrix, &[]).unwrap().size(), [0, 4, 3]);
        assert!(select_rows(&matrix, &[5]).is_err() && select_rows(&matrix, &[-1]).is_err());
    }

    #[test]
    fn a_detached_tensor_shares_its_elements() {
        let x = Tensor::ones([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let y = &x * 2.0;
        let detached = detach(&y).unwrap();
        assert!(y.requires_grad() && !detached.requires_grad());
        assert_eq!(detached.data_ptr(), y.data_ptr());
        assert!(detach(&Tensor::new()).is_err());
    }
}
