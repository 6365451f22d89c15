//! Settings of pools.

use colearn_core::pools::{PoolName, PoolNameError, PoolSettings, WorkerSettings};

use crate::v1;

/// The settings of a pool; [`PoolSettings::check`] checks them.
///
/// # Errors
/// If the name is malformed.
pub fn pool_settings(settings: v1::PoolSettings) -> Result<PoolSettings, PoolNameError> {
    let v1::PoolSettings {
        name,
        max_workers,
        min_workers,
        idle_seconds,
        time_limit_seconds,
        slots,
        gpu,
        worker_program,
        connect_to,
        data_dir,
        checkpoints,
        worker_access,
        allow_programs,
        programs_only,
        labels,
        worker_arguments,
        log_dir,
        arguments,
    } = settings;
    let given = |text: String| (!text.is_empty()).then_some(text);
    Ok(PoolSettings {
        name: PoolName::new(name)?,
        max_workers,
        min_workers,
        idle_seconds,
        time_limit_seconds: (time_limit_seconds > 0).then_some(time_limit_seconds),
        slots,
        gpu,
        worker: WorkerSettings {
            program: worker_program,
            coordinator: connect_to,
            data_dir: given(data_dir),
            checkpoints: given(checkpoints),
            access: given(worker_access),
            allow_programs,
            programs_only,
            labels: labels.into_iter().collect(),
            arguments: worker_arguments,
        },
        log_dir,
        arguments,
    })
}

/// The settings of a pool for the wire.
#[must_use]
pub fn pool_settings_to_wire(settings: &PoolSettings) -> v1::PoolSettings {
    let PoolSettings {
        name,
        max_workers,
        min_workers,
        idle_seconds,
        time_limit_seconds,
        slots,
        gpu,
        worker,
        log_dir,
        arguments,
    } = settings.clone();
    v1::PoolSettings {
        name: name.into(),
        max_workers,
        min_workers,
        idle_seconds,
        time_limit_seconds: time_limit_seconds.unwrap_or(0),
        slots,
        gpu,
        worker_program: worker.program,
        connect_to: worker.coordinator,
        data_dir: worker.data_dir.unwrap_or_default(),
        checkpoints: worker.checkpoints.unwrap_or_default(),
        worker_access: worker.access.unwrap_or_default(),
        allow_programs: worker.allow_programs,
        programs_only: worker.programs_only,
        labels: worker.labels.into_iter().collect(),
        worker_arguments: worker.arguments,
        log_dir,
        arguments,
    }
}
