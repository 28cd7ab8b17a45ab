//! Places by names that stay the same from run to run.

/// The frames of a stack without what differs between machines and edits: folders in front of the package, line
/// numbers, addresses.
pub(super) fn frames(stack: &[String]) -> Vec<String> {
    stack.iter().map(|frame| normal_frame(frame)).collect()
}

/// `/opt/x/site-packages/torch/nn/modules/linear.py:134 forward` is `torch/nn/modules/linear.py forward`.
fn normal_frame(frame: &str) -> String {
    let (place, function) = frame.rsplit_once(' ').unwrap_or(("", frame));
    let file = match place.rsplit_once(':') {
        Some((file, line)) if line.bytes().all(|byte| byte.is_ascii_digit()) => file,
        _ => place,
    };
    let function = function.split("+0x").next().unwrap_or(function);
    format!("{} {function}", within_package(file)).trim_start().to_owned()
}

/// The path from the package on; of a script its name.
fn within_package(file: &str) -> &str {
    let packages = ["site-packages/", "dist-packages/"];
    let inside = packages.iter().find_map(|folder| file.rsplit_once(folder).map(|(_, inside)| inside));
    inside.unwrap_or_else(|| file.rsplit(['/', '\\']).next().unwrap_or(file))
}

/// Op and module with `*` for the number of a block: what each block makes is one place.
pub(super) fn module(place: &[String]) -> Vec<String> {
    let part = |part: &str| if part.parse::<u64>().is_ok() { "*".to_owned() } else { part.to_owned() };
    place.iter().map(|name| name.split('.').map(part).collect::<Vec<_>>().join(".")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_lines_go() {
        let stack = [
            "/opt/env/lib/python3.11/site-packages/torch/nn/modules/linear.py:134 forward",
            "C:\\work\\train.py:7 <module>",
            "torch::autograd::Engine::execute+0x12ab",
        ];
        let normal = frames(&stack.map(str::to_owned));
        assert_eq!(
            normal,
            ["torch/nn/modules/linear.py forward", "train.py <module>", "torch::autograd::Engine::execute"]
        );
    }

    #[test]
    fn blocks_are_one_place() {
        let place = ["mul", "model.layers.13.mlp"].map(str::to_owned);
        assert_eq!(module(&place), ["mul", "model.layers.*.mlp"]);
    }
}
