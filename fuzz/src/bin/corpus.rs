//! Writes the accepted examples of every target to `corpus/TARGET/`, where libFuzzer begins.

use std::path::Path;

fn main() -> std::io::Result<()> {
    for target in hustings_fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (number, example) in (target.examples)().iter().enumerate() {
            std::fs::write(folder.join(format!("example-{number}")), example)?;
        }
    }
    Ok(())
}
