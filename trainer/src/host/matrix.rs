//! Matrix products by MKL's SGEMM, called on memory.

use std::{ffi::c_char, ops::Range, sync::OnceLock};

use tch::Tensor;

use super::holds;

type Sgemm = unsafe extern "C" fn(
    transa: *const c_char,
    transb: *const c_char,
    m: *const i32,
    n: *const i32,
    k: *const i32,
    alpha: *const f32,
    a: *const f32,
    lda: *const i32,
    b: *const f32,
    ldb: *const i32,
    beta: *const f32,
    c: *mut f32,
    ldc: *const i32,
);

unsafe extern "C" {
    fn colearn_sgemm() -> Option<Sgemm>;
}

fn sgemm() -> Option<Sgemm> {
    static SGEMM: OnceLock<Option<Sgemm>> = OnceLock::new();
    // SAFETY: the function has no preconditions; it returns the address of a function of this signature or null.
    *SGEMM.get_or_init(|| unsafe { colearn_sgemm() })
}

/// Whether libtorch has MKL's product.
pub(crate) fn is_supported() -> bool {
    sgemm().is_some()
}

/// A matrix in host memory, or the transpose of one. The rows in memory may be apart, the values of a row are not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    /// Distance of two rows in memory, in values.
    stride: usize,
    transposed: bool,
}

/// A matrix in host memory that a product is written to.
#[derive(Debug)]
pub(crate) struct MatrixMut<'a> {
    values: &'a mut [f32],
    rows: usize,
    columns: usize,
    stride: usize,
}

/// What becomes of the values that a product's output had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// They are overwritten.
    Fill,
    /// The product is added to them.
    Add,
}

/// Number of values from the first to the last one of a matrix.
fn extent(rows: usize, columns: usize, stride: usize) -> usize {
    if rows == 0 || columns == 0 { 0 } else { (rows - 1) * stride + columns }
}

/// Rows, columns and stride of a two-dimensional tensor in host memory.
fn layout(tensor: &Tensor) -> (usize, usize, usize) {
    let (size, stride) = (tensor.size(), tensor.stride());
    let [rows, columns] = size[..] else { panic!("a matrix has two dimensions, not {size:?}") };
    assert!(holds((tensor.kind(), tensor.device())), "the matrix is plain memory");
    assert!(columns <= 1 || stride[1] == 1, "the rows of the matrix are contiguous");
    let stride = if rows <= 1 { columns } else { stride[0] };
    (rows as usize, columns as usize, stride as usize)
}

impl<'a> Matrix<'a> {
    /// Rows of this many columns, one after the other.
    pub(crate) fn new(values: &'a [f32], columns: usize) -> Self {
        let rows = values.len().checked_div(columns).unwrap_or(0);
        Self { values, rows, columns, stride: columns, transposed: false }
    }

    /// The view of a two-dimensional tensor.
    ///
    /// # Safety
    /// Nothing may change the values during the lifetime of the view.
    ///
    /// # Panics
    /// If the tensor has another number of dimensions, is not in host memory and of single precision, or its rows
    /// are not contiguous.
    pub(crate) unsafe fn of(tensor: &'a Tensor) -> Self {
        let (rows, columns, stride) = layout(tensor);
        let start = tensor.data_ptr().cast::<f32>();
        // SAFETY: the tensor has these values; the caller excludes changes.
        let values = unsafe { std::slice::from_raw_parts(start, extent(rows, columns, stride)) };
        Self { values, rows, columns, stride, transposed: false }
    }

    /// Number of columns.
    pub(crate) fn width(&self) -> usize {
        self.columns
    }

    /// The transpose, without a change of memory.
    pub(crate) fn transposed(self) -> Self {
        Self { rows: self.columns, columns: self.rows, transposed: !self.transposed, ..self }
    }

    /// These columns of a matrix that is not a transpose.
    ///
    /// # Panics
    /// If the matrix has fewer columns, or is a transpose.
    pub(crate) fn columns(self, columns: Range<usize>) -> Self {
        assert!(!self.transposed && columns.end <= self.columns, "the matrix has the columns");
        let values = self.values.get(columns.start..).unwrap_or_default();
        Self { values, columns: columns.len(), ..self }
    }

    /// Writes the rows of a matrix that is not a transpose to `out`, one after the other.
    ///
    /// # Panics
    /// If `out` has another number of values.
    pub(crate) fn copy_to(self, out: &mut [f32]) {
        assert!(!self.transposed && out.len() == self.rows * self.columns, "the copy fits");
        let rows = self.values.chunks(self.stride.max(1));
        for (out, row) in out.chunks_exact_mut(self.columns.max(1)).zip(rows) {
            out.copy_from_slice(&row[..self.columns]);
        }
    }

    /// Writes the transpose of a matrix that is not a transpose itself to `out`.
    ///
    /// # Panics
    /// If `out` has another number of values.
    pub(crate) fn transpose_to(self, out: &mut [f32]) {
        assert!(!self.transposed && out.len() == self.rows * self.columns, "the transpose fits");
        transpose(out, self.values, self.rows, self.columns, self.stride);
    }
}

/// Writes the transpose of rows of this many columns and with this distance to `out`.
fn transpose(out: &mut [f32], values: &[f32], rows: usize, columns: usize, stride: usize) {
    assert!(
        values.len() >= extent(rows, columns, stride) && out.len() >= rows * columns,
        "the values are there"
    );
    // Whole squares by vector instructions, the rest value by value.
    let (whole_rows, whole_columns) = (rows - rows % SQUARE, columns - columns % SQUARE);
    let has_squares = transposes_squares();
    if has_squares {
        for row in (0..whole_rows).step_by(SQUARE) {
            for column in (0..whole_columns).step_by(SQUARE) {
                let (from, to) = (&values[row * stride + column..], &mut out[column * rows + row..]);
                transpose_square(from, stride, to, rows);
            }
        }
    }
    for row in 0..rows {
        let first = if has_squares && row < whole_rows { whole_columns } else { 0 };
        for column in first..columns {
            out[column * rows + row] = values[row * stride + column];
        }
    }
}

/// Width of a vector of AVX.
const SQUARE: usize = 8;

#[cfg(target_arch = "x86_64")]
fn transposes_squares() -> bool {
    std::is_x86_feature_detected!("avx")
}

#[cfg(not(target_arch = "x86_64"))]
fn transposes_squares() -> bool {
    false
}

/// Transposes the square at the start of `from` to the start of `to`; the strides are the distances of rows.
fn transpose_square(from: &[f32], from_stride: usize, to: &mut [f32], to_stride: usize) {
    let needed = |stride: usize| extent(SQUARE, SQUARE, stride);
    assert!(
        from.len() >= needed(from_stride) && to.len() >= needed(to_stride),
        "the square is within the values"
    );
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the processor has AVX, which the caller has checked, and all rows are within the slices.
    unsafe {
        transpose_square_avx(from.as_ptr(), from_stride, to.as_mut_ptr(), to_stride);
    }
    #[cfg(not(target_arch = "x86_64"))]
    for row in 0..SQUARE {
        for column in 0..SQUARE {
            to[column * to_stride + row] = from[row * from_stride + column];
        }
    }
}

/// # Safety
/// Both pointers are the start of eight rows of eight values.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
unsafe fn transpose_square_avx(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    use std::arch::x86_64::{
        __m256, _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_shuffle_ps, _mm256_storeu_ps,
        _mm256_unpackhi_ps, _mm256_unpacklo_ps,
    };
    // SAFETY: the caller says that the eight values of each row are there.
    let row: [__m256; 8] = std::array::from_fn(|i| unsafe { _mm256_loadu_ps(from.add(i * from_stride)) });
    // Pairs of rows, then fours, then the halves of eight.
    let pairs: [__m256; 8] = std::array::from_fn(|i| {
        let (a, b) = (row[i / 2 * 2], row[i / 2 * 2 + 1]);
        if i % 2 == 0 { _mm256_unpacklo_ps(a, b) } else { _mm256_unpackhi_ps(a, b) }
    });
    let fours: [__m256; 8] = std::array::from_fn(|i| {
        let (a, b) = (pairs[i / 4 * 4 + i % 4 / 2], pairs[i / 4 * 4 + i % 4 / 2 + 2]);
        if i % 2 == 0 { _mm256_shuffle_ps::<0x44>(a, b) } else { _mm256_shuffle_ps::<0xee>(a, b) }
    });
    for i in 0..4 {
        let (low, high) = (fours[i], fours[i + 4]);
        // SAFETY: as above.
        unsafe {
            _mm256_storeu_ps(to.add(i * to_stride), _mm256_permute2f128_ps::<0x20>(low, high));
            _mm256_storeu_ps(to.add((i + 4) * to_stride), _mm256_permute2f128_ps::<0x31>(low, high));
        }
    }
}

impl<'a> MatrixMut<'a> {
    /// Rows of this many columns, one after the other.
    pub(crate) fn new(values: &'a mut [f32], columns: usize) -> Self {
        let rows = values.len().checked_div(columns).unwrap_or(0);
        Self { values, rows, columns, stride: columns }
    }

    /// The view of a two-dimensional tensor.
    ///
    /// # Safety
    /// Nothing else may use the values during the lifetime of the view.
    ///
    /// # Panics
    /// As [`Matrix::of`].
    pub(crate) unsafe fn of(tensor: &'a Tensor) -> Self {
        let (rows, columns, stride) = layout(tensor);
        let start = tensor.data_ptr().cast::<f32>();
        // SAFETY: the tensor has these values; the caller excludes other uses.
        let values = unsafe { std::slice::from_raw_parts_mut(start, extent(rows, columns, stride)) };
        Self { values, rows, columns, stride }
    }

    /// These columns.
    ///
    /// # Panics
    /// If the matrix has fewer columns.
    pub(crate) fn columns(self, columns: Range<usize>) -> Self {
        assert!(columns.end <= self.columns, "the matrix has the columns");
        let values = self.values.get_mut(columns.start..).unwrap_or_default();
        Self { values, columns: columns.len(), ..self }
    }

    /// Writes the product of `a` and `b` into this matrix.
    ///
    /// # Panics
    /// If the sizes do not fit, or if products are not supported on this host.
    pub(crate) fn product(self, output: Output, a: Matrix<'_>, b: Matrix<'_>) {
        let sgemm = sgemm().expect("the caller has checked that products are supported");
        assert_eq!((a.rows, b.rows, b.columns), (self.rows, a.columns, self.columns), "the sizes fit");
        if self.rows == 0 || self.columns == 0 {
            return;
        }
        // SGEMM takes columns where these matrices have rows: it computes the transposed product.
        let integer = |value: usize| i32::try_from(value).expect("matrices are smaller than 2^31");
        let letter = |matrix: &Matrix<'_>| (if matrix.transposed { c"T" } else { c"N" }).as_ptr();
        let (m, n, k) = (integer(self.columns), integer(self.rows), integer(a.columns));
        let [lda, ldb, ldc] = [b.stride, a.stride, self.stride].map(|stride| integer(stride.max(1)));
        let (one, beta) = (1.0_f32, if output == Output::Add { 1.0_f32 } else { 0.0 });
        // SAFETY: by the sizes that were checked above and when the matrices were made, all values that SGEMM reads
        // and writes are in the slices, of which the one that is written is borrowed mutably.
        unsafe {
            sgemm(
                letter(&b),
                letter(&a),
                &raw const m,
                &raw const n,
                &raw const k,
                &raw const one,
                b.values.as_ptr(),
                &raw const lda,
                a.values.as_ptr(),
                &raw const ldb,
                &raw const beta,
                self.values.as_mut_ptr(),
                &raw const ldc,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    fn tensor(size: [i64; 2]) -> Tensor {
        let values: Vec<f32> = (0..size[0] * size[1]).map(|i| (i as f32 * 1.7).sin()).collect();
        Tensor::from_slice(&values).view(size)
    }

    fn check(output: Output, a: (&Tensor, bool), b: (&Tensor, bool), c: &Tensor) {
        let turned = |(tensor, transposed): (&Tensor, bool)| {
            if transposed { tensor.tr() } else { tensor.shallow_clone() }
        };
        let product = turned(a).matmul(&turned(b));
        let expected = if output == Output::Add { product + c } else { product };
        let matrix = |(tensor, transposed): (&'static Tensor, bool)| {
            // SAFETY: nothing changes the values.
            let matrix = unsafe { Matrix::of(tensor) };
            if transposed { matrix.transposed() } else { matrix }
        };
        let leak = |(tensor, transposed): (&Tensor, bool)| -> (&'static Tensor, bool) {
            (Box::leak(Box::new(tensor.shallow_clone())), transposed)
        };
        // SAFETY: nothing else uses `c` meanwhile.
        unsafe { MatrixMut::of(c) }.product(output, matrix(leak(a)), matrix(leak(b)));
        assert!((c - expected).abs().max().double_value(&[]) < 1e-5);
    }

    #[test]
    fn products_are_libtorchs() {
        if !is_supported() {
            eprintln!("skipped: this libtorch is built without MKL");
            return;
        }
        for output in [Output::Fill, Output::Add] {
            check(output, (&tensor([3, 5]), false), (&tensor([5, 4]), false), &tensor([3, 4]));
            check(output, (&tensor([5, 3]), true), (&tensor([4, 5]), true), &tensor([3, 4]));
            // Columns of a wider matrix; a single row.
            let (wide, out) = (tensor([6, 9]), tensor([4, 12]));
            check(
                output,
                (&wide.narrow(1, 2, 4), true),
                (&wide.narrow(1, 6, 3), false),
                &out.narrow(1, 5, 3),
            );
            check(output, (&tensor([1, 7]), false), (&tensor([2, 7]), true), &tensor([1, 2]));
        }
    }

    #[test]
    fn transposes_are_libtorchs() {
        for (size, columns) in
            [([40, 33], 0..33), ([16, 16], 0..16), ([27, 50], 3..20), ([1, 50], 3..20), ([5, 1], 0..1)]
        {
            let tensor = tensor(size).narrow(1, columns.start, columns.end - columns.start);
            let mut out = vec![0.0; tensor.numel()];
            // SAFETY: nothing changes the values.
            unsafe { Matrix::of(&tensor) }.transpose_to(&mut out);
            let expected = tensor.tr().contiguous().view([-1]);
            assert!(Tensor::from_slice(&out).equal(&expected));
        }
    }

    #[test]
    fn columns_are_parts_of_rows() {
        let values: Vec<f32> = (0..12_u8).map(f32::from).collect();
        let part = Matrix::new(&values, 4).columns(1..3);
        let mut copy = [0.0; 6];
        part.copy_to(&mut copy);
        assert_eq!((part.width(), copy), (2, [1.0, 2.0, 5.0, 6.0, 9.0, 10.0]));
        part.transpose_to(&mut copy);
        assert_eq!(copy, [1.0, 5.0, 9.0, 2.0, 6.0, 10.0]);
        assert!(Matrix::new(&[], 4).columns(1..3).values.is_empty());
        if is_supported() {
            let (mut out, one) = (vec![7.0; 12], [1.0, 0.0, 0.0, 1.0]);
            let place = MatrixMut::new(&mut out, 4).columns(2..4);
            place.product(Output::Fill, part, Matrix::new(&one, 2));
            assert_eq!(out, [7.0, 7.0, 1.0, 2.0, 7.0, 7.0, 5.0, 6.0, 7.0, 7.0, 9.0, 10.0]);
        }
    }

    #[test]
    #[should_panic(expected = "the matrix has the columns")]
    fn absent_columns_are_refused() {
        let _ = Matrix::new(&[0.0; 6], 3).columns(2..4);
    }

    #[test]
    #[should_panic(expected = "the sizes fit")]
    fn sizes_that_do_not_fit_are_refused() {
        assert!(is_supported(), "the sizes fit, but there is no product to refuse them");
        let (a, b) = (Matrix::new(&[0.0; 6], 3), Matrix::new(&[0.0; 8], 2));
        MatrixMut::new(&mut [0.0; 4], 2).product(Output::Fill, a, b);
    }

    #[test]
    #[should_panic(expected = "plain memory")]
    fn other_tensors_are_refused() {
        let tensor = Tensor::zeros([2, 2], (Kind::Double, Device::Cpu));
        // SAFETY: nothing changes the values.
        let _ = unsafe { Matrix::of(&tensor) };
    }
}
