//! The output of `nvidia-smi` for the virtual GPUs, for scripts that run it instead of calling CUDA.

use crate::{Settings, State};

/// The version of NVIDIA's driver that the virtual GPU reports, the one that goes with [`CUDA`].
pub const DRIVER: &str = "595.45.04";
/// The version of CUDA that the virtual GPU reports.
pub const CUDA: &str = "13.2";
const MIB: u64 = 1 << 20;

/// The text that `nvidia-smi` prints when it is called with these arguments.
///
/// The table, `-L`, `--query-gpu=…`, `--query-compute-apps=…`, `--format=csv[,noheader][,nounits]` and `-i` are supported.
///
/// ```
/// use brimful_virtual_gpu::{Settings, State, nvidia_smi};
/// let ask = ["--query-gpu=name,memory.used", "--format=csv,noheader,nounits"].map(str::to_owned);
/// assert_eq!(nvidia_smi(&ask, &Settings::default(), &State::default()).unwrap(), "a GPU without an end, 0\n");
/// ```
///
/// # Errors
/// An argument that is not supported: the message names it as the real program does.
pub fn nvidia_smi(arguments: &[String], settings: &Settings, state: &State) -> Result<String, String> {
    let mut question = Question::default();
    let mut words = arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let (name, mut value) =
            word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let mut take = || value.take().or_else(|| words.next()).unwrap_or_default();
        match name {
            "-L" | "--list-gpus" => question.list = true,
            "-i" | "--id" => question.only = Some(number(take())?),
            "--query-gpu" => question.gpu = fields(take()),
            "--query-compute-apps" => question.processes = fields(take()),
            "--format" => {
                let format = take();
                question.header = !format.contains("noheader");
                question.units = !format.contains("nounits");
            }
            _ => {
                return Err(format!(
                    "Invalid combination of input arguments. {name} is not known of a virtual GPU.\n"
                ));
            }
        }
    }
    question.answer(settings, state)
}

fn fields(list: &str) -> Option<Vec<String>> {
    Some(list.split(',').map(|field| field.trim().to_owned()).collect())
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("No devices were found: {text:?} is not the number of a virtual GPU.\n"))
}

struct Question {
    list: bool,
    only: Option<usize>,
    gpu: Option<Vec<String>>,
    processes: Option<Vec<String>>,
    header: bool,
    units: bool,
}

impl Default for Question {
    fn default() -> Question {
        Question { list: false, only: None, gpu: None, processes: None, header: true, units: true }
    }
}

/// A process on a GPU.
struct Holder {
    device: usize,
    pid: u64,
    held: u64,
}

fn holders(state: &State) -> Vec<Holder> {
    let of_process = |process: &crate::ProcessUse| {
        let pid = process.pid;
        let held = process.devices.iter().map(|device| device.used + device.context).enumerate();
        held.filter(|(_, held)| *held > 0)
            .map(move |(device, held)| Holder { device, pid, held })
            .collect::<Vec<_>>()
    };
    state.processes.iter().flat_map(of_process).collect()
}

impl Question {
    fn answer(&self, settings: &Settings, state: &State) -> Result<String, String> {
        let all = 0..settings.devices as usize;
        if let Some(missing) = self.only.filter(|only| !all.contains(only)) {
            return Err(format!(
                "No devices were found: -i {missing}, and virtual GPUs are numbered {all:?}.\n"
            ));
        }
        let devices: Vec<usize> = self.only.map_or_else(|| all.collect(), |only| vec![only]);
        let holders = holders(state);
        let used = |device: usize| {
            holders.iter().filter(|holder| holder.device == device).map(|holder| holder.held).sum()
        };
        if self.list {
            return Ok(devices.iter().map(|device| format!("GPU {device}: {}\n", settings.name)).collect());
        }
        if let Some(fields) = &self.gpu {
            let row =
                |device: &usize| self.row(fields, |field| of_gpu(field, *device, used(*device), settings));
            return self.table(fields, devices.iter().map(row));
        }
        if let Some(fields) = &self.processes {
            let shown = holders.iter().filter(|holder| devices.contains(&holder.device));
            return self.table(
                fields,
                shown.map(|holder| self.row(fields, |field| of_process(field, holder, settings))),
            );
        }
        Ok(overview(settings, &devices, &used, &holders))
    }

    fn row(
        &self,
        fields: &[String],
        value: impl Fn(&str) -> Option<(String, &'static str)>,
    ) -> Result<String, String> {
        let cells = fields.iter().map(|field| {
            let (value, unit) =
                value(field).ok_or_else(|| format!("Field \"{field}\" is not a valid field to query.\n"))?;
            Ok(if self.units && !unit.is_empty() { format!("{value} {unit}") } else { value })
        });
        Ok(cells.collect::<Result<Vec<String>, String>>()?.join(", ") + "\n")
    }

    fn table(
        &self,
        fields: &[String],
        rows: impl Iterator<Item = Result<String, String>>,
    ) -> Result<String, String> {
        let rows = rows.collect::<Result<String, String>>()?;
        let header = fields.iter().map(|field| match field.as_str() {
            memory if self.units && memory.contains("memory") => format!("{memory} [MiB]"),
            other => other.to_owned(),
        });
        let header = if self.header { header.collect::<Vec<_>>().join(", ") + "\n" } else { String::new() };
        Ok(header + &rows)
    }
}

fn of_gpu(field: &str, device: usize, used: u64, settings: &Settings) -> Option<(String, &'static str)> {
    let mib = |bytes: u64| Some(((bytes / MIB).to_string(), "MiB"));
    let text = |text: String| Some((text, ""));
    let (major, minor) = settings.compute_capability;
    match field {
        "index" => text(device.to_string()),
        "name" | "gpu_name" => text(settings.name.clone()),
        "count" => text(settings.devices.to_string()),
        "driver_version" => text(DRIVER.to_owned()),
        "compute_cap" => text(format!("{major}.{minor}")),
        "uuid" | "gpu_uuid" => text(uuid(device)),
        "pci.bus_id" | "gpu_bus_id" => text(format!("00000000:{:02X}:00.0", 0x10 + device)),
        "memory.total" => mib(settings.total),
        "memory.used" => mib(used),
        "memory.free" => mib(settings.total.saturating_sub(used)),
        "memory.reserved" => mib(0),
        "utilization.gpu" | "utilization.memory" => Some(("0".to_owned(), "%")),
        "temperature.gpu" => text("30".to_owned()),
        "power.draw" | "power.limit" => Some(("100.00".to_owned(), "W")),
        _ => None,
    }
}

fn of_process(field: &str, holder: &Holder, settings: &Settings) -> Option<(String, &'static str)> {
    match field {
        "pid" => Some((holder.pid.to_string(), "")),
        "used_memory" | "used_gpu_memory" => Some(((holder.held / MIB).to_string(), "MiB")),
        "process_name" | "name" => Some(("python".to_owned(), "")),
        "gpu_name" => Some((settings.name.clone(), "")),
        "gpu_uuid" => Some((uuid(holder.device), "")),
        _ => None,
    }
}

/// The UUID of a virtual GPU, as NVML and nvidia-smi print it.
pub(crate) fn uuid(device: usize) -> String {
    let hex: Vec<String> = uuid_bytes(device).iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |range: std::ops::Range<usize>| hex[range].concat();
    format!("GPU-{}-{}-{}-{}-{}", part(0..4), part(4..6), part(6..8), part(8..10), part(10..16))
}

/// Its bytes.
pub(crate) fn uuid_bytes(device: usize) -> [u8; 16] {
    let mut bytes = *b"brimful-vgpu-000";
    bytes[15] = device as u8;
    bytes
}

fn overview(
    settings: &Settings,
    devices: &[usize],
    used: &dyn Fn(usize) -> u64,
    holders: &[Holder],
) -> String {
    let line = format!("+{}+\n", "-".repeat(89));
    let row = |text: String| format!("| {text:<87} |\n");
    let head =
        row(format!("NVIDIA-SMI {DRIVER}   Driver Version: {DRIVER}   CUDA Version: {CUDA}   (virtual)"));
    let gpu = |device: &usize| {
        let memory = format!("{}MiB / {}MiB", used(*device) / MIB, settings.total / MIB);
        row(format!("{device:>3}  {:<40} {memory:>24}     0%", settings.name))
    };
    let gpus: String = devices.iter().map(gpu).collect();
    let shown = holders.iter().filter(|holder| devices.contains(&holder.device));
    let process = |holder: &Holder| {
        row(format!("{:>3} {:>9}   C   python {:>40}MiB", holder.device, holder.pid, holder.held / MIB))
    };
    let processes: String = shown.map(process).collect();
    let title = row("GPU       PID Type   Process name                     GPU Memory".to_owned());
    [&line, &head, &line, &gpus, &line, &title, &processes, &line].into_iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DeviceUse, ProcessUse};

    fn ask(words: &str) -> Result<String, String> {
        let settings =
            Settings { devices: 2, name: "NVIDIA L4".to_owned(), total: 22528 * MIB, ..Settings::default() };
        let mut process =
            ProcessUse { pid: 7, devices: vec![DeviceUse::default(); 2], ..ProcessUse::default() };
        process.devices[1] = DeviceUse { used: 1000 * MIB, context: 100 * MIB, ..DeviceUse::default() };
        let state = State { processes: vec![process], calls: Vec::new() };
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        nvidia_smi(&words, &settings, &state)
    }

    #[test]
    fn fields_are_answered_as_csv() -> Result<(), String> {
        assert_eq!(
            ask("--query-gpu=index,memory.used,memory.free --format=csv")?,
            "index, memory.used [MiB], memory.free [MiB]\n0, 0 MiB, 22528 MiB\n1, 1100 MiB, 21428 MiB\n"
        );
        assert_eq!(ask("--query-gpu memory.total --format csv,noheader,nounits -i 1")?, "22528\n");
        assert_eq!(ask("--query-compute-apps=pid,used_memory --format=csv,noheader")?, "7, 1100 MiB\n");
        Ok(())
    }

    #[test]
    fn what_is_not_known_is_named() {
        for (asked, named) in
            [("--query-gpu=colour", "\"colour\""), ("--gpu-reset", "--gpu-reset"), ("-i 5", "-i 5")]
        {
            assert!(ask(asked).is_err_and(|refusal| refusal.contains(named)), "{asked}");
        }
    }

    #[test]
    fn the_table_holds_each_gpu_and_each_process() -> Result<(), String> {
        let text = ask("")?;
        assert!(text.contains("1100MiB / 22528MiB") && text.contains("NVIDIA L4"), "{text}");
        assert_eq!(ask("-L")?.lines().count(), 2);
        let width = text.find('\n');
        assert!(text.lines().all(|line| Some(line.len()) == width), "{text}");
        Ok(())
    }
}
