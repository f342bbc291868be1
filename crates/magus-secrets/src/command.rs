//! Runs the one program of a reference: no shell, no input, bounded output, bounded time.

use std::{
    io::{self, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use magus_model::Text;
use magus_process::Group;
use zeroize::{Zeroize, Zeroizing};

use crate::{Fault, LONGEST_VALUE};

/// How often an ended program is looked for once its output has ended.
const POLL: Duration = Duration::from_millis(5);

/// What to run, and where.
pub(crate) struct CommandRun<'a> {
    /// The program and its arguments.
    pub(crate) words: &'a [Text],
    /// Where it runs.
    pub(crate) folder: &'a Path,
    /// When it is stopped.
    pub(crate) timeout: Duration,
}

type Failure = (Fault, Option<io::Error>);

/// What the program wrote to stdout.
pub(crate) fn run(run: &CommandRun<'_>) -> Result<Vec<u8>, Failure> {
    let Some((program, arguments)) = run.words.split_first().filter(|(program, _)| !program.is_empty())
    else {
        return Err((Fault::NoProgram, None));
    };
    let folder = std::path::absolute(run.folder).map_err(|error| (Fault::NotStarted, Some(error)))?;
    if !folder.is_dir() {
        return Err((Fault::NoFolder(run.folder.display().to_string()), None));
    }
    // `./get-secret` is meant from the folder; what the system makes of it otherwise differs.
    let program = if program.contains('/') {
        folder.join(program.as_str()).into_os_string()
    } else {
        program.as_str().into()
    };
    let deadline = Instant::now() + run.timeout;
    let mut command = Command::new(program);
    command
        .args(arguments.iter().map(Text::as_str))
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let (mut child, group) = Group::spawn(&mut command).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => (Fault::ProgramNotFound, None),
        _ => (Fault::NotStarted, Some(error)),
    })?;
    let outcome = watch(&mut child, deadline, run.timeout);
    if outcome.is_err() {
        group.kill(&mut child);
    }
    let (mut output, status, stderr_bytes) = outcome?;
    if status.success() {
        return Ok(std::mem::take(&mut *output));
    }
    Err((Fault::Exit { status: status.to_string(), stderr_bytes }, None))
}

/// Waits for the end of the output and then of the program. An error leaves the program running.
fn watch(
    child: &mut Child,
    deadline: Instant,
    timeout: Duration,
) -> Result<(Zeroizing<Vec<u8>>, ExitStatus, usize), Failure> {
    let not_started = |error: io::Error| (Fault::NotStarted, Some(error));
    let stderr_bytes = Arc::new(AtomicUsize::new(0));
    let stderr_ended = child.stderr.take().map(|stderr| count(stderr, Arc::clone(&stderr_bytes)));
    let (sender, receiver) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        // The thread ends with the pipe. It is not joined: a program that left its group can hold the pipe for ever.
        thread::Builder::new()
            .name("secret".into())
            .spawn(move || {
                let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
                let outcome = stdout.take(LONGEST_VALUE as u64 + 3).read_to_end(&mut bytes);
                // Nobody listens any more once the time is over.
                let _ = sender.send(outcome.map(|_| bytes));
            })
            .map_err(not_started)?;
    }
    let output = match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(output) => output.map_err(not_started)?,
        Err(RecvTimeoutError::Timeout) => return Err((Fault::TimedOut(timeout), None)),
        Err(RecvTimeoutError::Disconnected) => return Err((Fault::NotStarted, None)),
    };
    if output.len() > LONGEST_VALUE + 2 {
        return Err((Fault::TooLong, None));
    }
    loop {
        if let Some(status) = child.try_wait().map_err(not_started)? {
            // The rest of stderr is in the pipe by now; a moment is enough to count it.
            if let Some(ended) = stderr_ended {
                let _ = ended.recv_timeout(Duration::from_millis(200));
            }
            return Ok((output, status, stderr_bytes.load(Ordering::Relaxed)));
        }
        if Instant::now() >= deadline {
            return Err((Fault::TimedOut(timeout), None));
        }
        thread::sleep(POLL);
    }
}

/// Reads a stream to its end, so that its writer never waits, and keeps only the number of its bytes.
fn count(mut stream: impl Read + Send + 'static, bytes: Arc<AtomicUsize>) -> mpsc::Receiver<()> {
    let (sender, receiver) = mpsc::channel();
    // Without the thread the writer may wait for ever, and is then stopped in time.
    let _ = thread::Builder::new().name("secret-stderr".into()).spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            bytes.fetch_add(read, Ordering::Relaxed);
        }
        buffer.zeroize();
        let _ = sender.send(());
    });
    receiver
}
