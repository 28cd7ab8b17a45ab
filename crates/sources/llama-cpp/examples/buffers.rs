//! Prints the buffers that `llama-server` allocates on a GPU with 24 GB: `buffers -m MODEL.gguf -c 32768 …`, with the
//! server's own flags.

use std::error::Error;

use brimful_gguf::Header;
use brimful_llama_cpp::{Gpu, plan, read_command};
use brimful_units::Bytes;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let command = read_command(&words)?;
    let model = command.model.ok_or("write -m MODEL.gguf")?;
    let header = match brimful_gguf::part_names(&model) {
        Some(parts) => Header::join(parts.iter().map(|part| read(part)).collect::<Result<_, _>>()?)?,
        None => read(&model)?,
    };
    let gpu = Gpu { free: Bytes::gib(23), compute_capability: 890 };
    let buffers = plan(&header, &command.settings, &[gpu])?;
    for (index, gpu) in buffers.gpus.iter().enumerate() {
        let (model, kv, state, compute) = (gpu.model, gpu.kv, gpu.recurrent, gpu.compute);
        println!(
            "CUDA{index}: model {model}, KV {kv}, states {state}, compute {compute}; {} in all",
            gpu.total()
        );
    }
    let host = &buffers.host;
    println!(
        "host:  mapped {}, KV {}, output {}, compute {}",
        host.mapped, host.kv, host.output, host.compute
    );
    Ok(())
}

fn read(path: &str) -> Result<Header, Box<dyn Error>> {
    Ok(Header::read(std::fs::File::open(path)?)?)
}
