#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hustings_fuzz::record(data));
