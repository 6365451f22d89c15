//! The batch script, and what Slurm's commands print.

use super::{
    super::slurm::{
        arguments, asks_for_gpu, is_unavailable, is_unclear, parse_queue, parse_submission, script,
    },
    *,
};

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_script_starts_one_worker_and_queues_its_job_again_after_it_parked() {
    let mut settings = PoolSettings {
        time_limit_seconds: Some(7230),
        arguments: words("--partition=gpu"),
        log_dir: "/home/o'me/50%".to_owned(),
        ..settings("gpu", 1)
    };
    settings.worker.data_dir = Some("/data sets/it's".to_owned());
    settings.worker.labels = ["big".to_owned()].into();
    settings.worker.access = Some("/home/me/worker.access".to_owned());
    let pool = Pool::new(settings, "a1b2c3".to_owned(), Timestamp(0));
    assert_eq!(arguments(&pool), ["--parsable", "--partition=gpu"]);
    let text = script(&pool, 17, false);
    for part in [
        "#SBATCH --job-name=colearn-gpu-a1b2c3-17\n",
        "#SBATCH --output=\"/home/o'me/50%%/17.log\"\n",
        "#SBATCH --time=121\n",
        "    --name gpu-a1b2c3-17 \\\n",
        "    --idle-timeout 300s \\\n",
        "    --time-limit 7170s \\\n",
        "    --data-dir '/data sets/it'\\''s' \\\n",
        "    --access /home/me/worker.access \\\n",
        "    --label big \\\n    --allow-programs\ncode=$?\n",
        "[ \"$code\" -eq 75 ]",
        "    scontrol requeue \"$SLURM_JOB_ID\"\n",
    ] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    assert!(!script(&pool, 17, true).contains("--idle-timeout"), "kept workers stay");
}

#[test]
fn options_that_a_pool_sets_itself_are_refused() {
    for (bad, part) in [
        ("--time=5", "use --time-limit"),
        ("-t5", "use --time-limit"),
        ("-t 5", "use --time-limit"),
        ("--partition=gpu -o x", "colearn alloc logs"),
        ("--wrap=true", "leave it out"),
        ("gpu", "is no option of sbatch"),
        ("--partition=gpu gpu", "is no option of sbatch"),
        ("-p gpu job.sh", "is no option of sbatch"),
        ("--", "is no option of sbatch"),
    ] {
        let settings = PoolSettings { arguments: words(bad), ..settings("gpu", 1) };
        let error = settings.check().unwrap_err().to_string();
        assert!(error.contains(part), "{bad}: {error}");
    }
    for good in
        ["", "--partition=gpu --gpus=1 --cpus-per-task=4", "-p gpu -A lab --exclusive", "-c4 --mem=8G"]
    {
        PoolSettings { arguments: words(good), ..settings("gpu", 1) }.check().unwrap();
    }
}

#[test]
fn a_pool_knows_from_its_options_whether_its_workers_have_a_gpu() {
    for yes in ["--gpus=1", "-G 2", "-p x --gpus-per-task=1", "--gres=gpu:a100:1", "--gres gpu:1"] {
        assert!(asks_for_gpu(&words(yes)), "{yes}");
    }
    for no in ["", "--partition=gpu", "--gres=nic:1", "--gres nic:1 -p gpu"] {
        assert!(!asks_for_gpu(&words(no)), "{no}");
    }
}

#[test]
fn the_queue_is_read_as_slurm_22_05_prints_it() {
    let printed = "\
5|wrap|COMPLETED|0|None|\n\
3|f|FAILED|1024|NonZeroExitCode|\n\
4|f75|FAILED|19200|NonZeroExitCode|\n\
1|colearn-gpu-a1b2c3-1|RUNNING|0|None|\n\
2|colearn-gpu-a1b2c3-2|PENDING|0|BeginTime|\n\
6|x|CANCELLED|0:15|None|\n\
7|x|COMPLETING|0|None|\n\
8|x|FAILED|4:0|NonZeroExitCode|\n\
9|x|FAILED|4021|JobLaunchFailure|\n\
10|x|FAILED|0:53|None|\n\
not a line\n";
    let seen = parse_queue(printed);
    let states: Vec<(&str, SeenState)> =
        seen.iter().map(|job| (job.id.as_str(), job.state.clone())).collect();
    let failed = |how: &str| SeenState::Ended(End::Failed(how.to_owned()));
    let no_log =
        "could not write its log (--log-dir must be a folder that the nodes and the coordinator share)";
    assert_eq!(
        states,
        [
            ("5", SeenState::Ended(End::Completed)),
            ("3", failed("ended with exit code 4")),
            ("4", SeenState::Ended(End::Preempted)),
            ("1", SeenState::Running),
            ("2", SeenState::Queued),
            ("6", SeenState::Ended(End::Cancelled)),
            ("7", SeenState::Running),
            ("8", failed("ended with exit code 4")),
            ("9", failed(no_log)),
            ("10", failed(no_log)),
        ]
    );
    assert_eq!((seen[4].name.as_str(), seen[4].detail.as_str()), ("colearn-gpu-a1b2c3-2", "BeginTime"));
    assert_eq!(seen[3].detail, "");
}

#[test]
fn the_id_of_a_submitted_job_is_read() {
    assert_eq!(parse_submission("17\n").as_deref(), Some("17"));
    assert_eq!(parse_submission("17;cluster\n").as_deref(), Some("17"));
    assert_eq!(parse_submission("a message of the site\n18\n").as_deref(), Some("18"));
    assert_eq!(parse_submission("Submitted batch job 17\n"), None);
    assert_eq!(parse_submission(""), None);
}

#[test]
fn a_controller_without_an_answer_is_no_refusal() {
    let away =
        "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)";
    assert!(is_unavailable(away) && !is_unclear(away));
    let unclear = "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation";
    assert!(is_unclear(unclear) && !is_unavailable(unclear));
    let refused = "sbatch: error: Batch job submission failed: Invalid partition name specified";
    assert!(!is_unclear(refused) && !is_unavailable(refused));
}
