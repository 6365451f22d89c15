//! The axes of the grid that `parameters` and `zip` span, and its points.

use std::collections::BTreeMap;

use serde_json::Value;

use super::file::Outline;

/// One axis of the grid: a parameter, or a group of zipped parameters. Holds indices of parameters.
pub(crate) struct Axis {
    pub(crate) parameters: Vec<usize>,
    pub(crate) length: usize,
}

/// The axes in the order of the file; a group is at the position of its first parameter.
pub(crate) fn axes(outline: &Outline) -> Vec<Axis> {
    let mut axes = Vec::new();
    for (index, parameter) in outline.parameters.iter().enumerate() {
        let members = match outline.zip.iter().find(|group| group.contains(&index)) {
            Some(group) if group.iter().min() == Some(&index) => group.clone(),
            Some(_) => continue,
            None => vec![index],
        };
        axes.push(Axis { parameters: members, length: parameter.values.len() });
    }
    axes
}

/// The number of points of the grid. Without `parameters` there is no grid: the sweep consists of its `include`, or
/// of the settings of the file.
pub(crate) fn grid_size(outline: &Outline, axes: &[Axis]) -> Option<u64> {
    if outline.parameters.is_empty() {
        return Some(u64::from(outline.include.is_empty()));
    }
    axes.iter().try_fold(1_u64, |size, axis| size.checked_mul(axis.length as u64))
}

/// The swept values at a point.
pub(crate) fn point(outline: &Outline, axes: &[Axis], at: &[usize]) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::new();
    for (axis, step) in axes.iter().zip(at) {
        for index in &axis.parameters {
            let parameter = &outline.parameters[*index];
            values.insert(parameter.path.clone(), parameter.values[*step].0.clone());
        }
    }
    values
}

/// Moves to the next point; the last axis moves first.
pub(crate) fn step(at: &mut [usize], axes: &[Axis]) {
    for (position, axis) in at.iter_mut().zip(axes).rev() {
        *position += 1;
        if *position < axis.length {
            return;
        }
        *position = 0;
    }
}
