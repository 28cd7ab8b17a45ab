//! The driver in a thread of its own: a call of a wedged driver never returns, and cannot be ended.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::backend::{Backend, Function};
use super::ladder::{Driver, DriverFacts, GpuFacts, GpuReading, OpenError, Rungs};
use super::meter::{Meter, Metered};

/// How long a reading may take. `nvmlInit` on a machine without persistence mode loads the firmware of eight GPUs, which
/// takes up to half a minute.
pub const DEADLINE: Duration = Duration::from_secs(40);

/// The driver gives no figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThreadError {
    /// A call has not returned.
    #[error("{} has not returned for {} seconds", .function.map_or("the driver", Function::name), .after.as_secs_f32())]
    Hangs {
        /// The function that was called.
        function: Option<Function>,
        /// How long it was waited for.
        after: Duration,
    },
    /// The library cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// What is known once the driver is open.
#[derive(Clone, Debug)]
pub struct Opened {
    /// What the driver says about itself.
    pub driver: DriverFacts,
    /// The GPUs and their partitions.
    pub gpus: Vec<GpuFacts>,
    /// The functions that the library exports.
    pub functions: Vec<Function>,
}

struct Question {
    host: Option<u64>,
    readings: Vec<GpuReading>,
}

/// A driver whose calls are waited for no longer than a deadline.
pub struct DriverThread {
    ask: SyncSender<Question>,
    answer: Receiver<(Vec<GpuReading>, Rungs)>,
    readings: Vec<GpuReading>,
    rungs: Rungs,
    opened: Opened,
    meter: Arc<Meter>,
    deadline: Duration,
    hung: Option<ThreadError>,
}

impl DriverThread {
    /// Opens the driver in a new thread.
    ///
    /// # Errors
    /// The driver cannot be opened, or does not return.
    pub fn open(backend: Box<dyn Backend>, deadline: Duration) -> Result<DriverThread, ThreadError> {
        let meter = Arc::new(Meter::default());
        let metered = Box::new(Metered::new(backend, Arc::clone(&meter)));
        let (tell, opened) = sync_channel(1);
        let (ask, questions) = sync_channel::<Question>(1);
        let (reply, answer) = sync_channel(1);
        // The thread is not joined: a wedged call would be waited for again.
        std::thread::spawn(move || serve(metered, &tell, &questions, &reply));
        match opened.recv_timeout(deadline) {
            Ok(Ok(opened)) => {
                let readings = Vec::with_capacity(opened.gpus.len());
                let rungs = Rungs::default();
                Ok(DriverThread { ask, answer, readings, rungs, opened, meter, deadline, hung: None })
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(ThreadError::Hangs { function: meter.running(), after: deadline }),
        }
    }

    /// What is known about the driver.
    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    /// What the calls cost so far.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Which functions answered last.
    pub fn rungs(&self) -> Rungs {
        self.rungs
    }

    /// What was read last, in the order of [`Opened::gpus`].
    pub fn readings(&self) -> &[GpuReading] {
        &self.readings
    }

    /// Reads all GPUs, in the order of [`Opened::gpus`].
    ///
    /// # Errors
    /// The driver does not return; then it is never called again.
    pub fn read(&mut self, host: Option<u64>) -> Result<&[GpuReading], ThreadError> {
        if let Some(error) = self.hung {
            return Err(error);
        }
        let question = Question { host, readings: std::mem::take(&mut self.readings) };
        let hangs = ThreadError::Hangs { function: None, after: self.deadline };
        self.ask.send(question).map_err(|_| hangs)?;
        match self.answer.recv_timeout(self.deadline) {
            Ok((readings, rungs)) => {
                (self.readings, self.rungs) = (readings, rungs);
                Ok(&self.readings)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let error = ThreadError::Hangs { function: self.meter.running(), after: self.deadline };
                self.hung = Some(error);
                Err(error)
            }
        }
    }
}

fn serve(
    backend: Box<dyn Backend>,
    tell: &SyncSender<Result<Opened, OpenError>>,
    questions: &Receiver<Question>,
    reply: &SyncSender<(Vec<GpuReading>, Rungs)>,
) {
    let mut driver = match Driver::open(backend) {
        Ok(driver) => driver,
        Err(error) => {
            let _ = tell.send(Err(error));
            return;
        }
    };
    let functions = Function::ALL.iter().copied().filter(|function| driver.has(*function)).collect();
    let opened = Opened { driver: driver.facts().clone(), gpus: driver.gpus().to_vec(), functions };
    if tell.send(Ok(opened)).is_err() {
        return;
    }
    // Both channels close when the owner is dropped.
    while let Ok(Question { host, mut readings }) = questions.recv() {
        driver.read(host, &mut readings);
        if reply.send((readings, driver.rungs())).is_err() {
            return;
        }
    }
}
