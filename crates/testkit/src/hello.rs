//! A program of a few hundred bytes that needs nothing from the image it is in.
//!
//! Why: an image is only real if it runs, and neither a shell nor a libc is small or the same on every machine. So the
//! fixture's program is an ELF file written here: one loadable segment, two system calls.

/// Where Linux maps the file; any page that is not the first would do.
const BASE: u64 = 0x40_0000;
const ELF_HEADER: u16 = 64;
const PROGRAM_HEADER: u16 = 56;

/// A static executable for Linux on x86-64 that writes `text` to its standard output and exits with 0.
pub(crate) fn executable(text: &str) -> Vec<u8> {
    let entry = BASE + u64::from(ELF_HEADER + PROGRAM_HEADER);
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut code = Vec::new();
    code.extend(b"\xb8\x01\x00\x00\x00"); // mov eax, 1 (write)
    code.extend(b"\xbf\x01\x00\x00\x00"); // mov edi, 1 (standard output)
    code.extend(b"\x48\x8d\x35\x10\x00\x00\x00"); // lea rsi, [rip + 16], the text behind the code
    code.push(0xba); // mov edx, length
    code.extend(length.to_le_bytes());
    code.extend(b"\x0f\x05"); // syscall
    code.extend(b"\x31\xff"); // xor edi, edi
    code.extend(b"\xb8\x3c\x00\x00\x00"); // mov eax, 60 (exit)
    code.extend(b"\x0f\x05"); // syscall
    code.extend(text.as_bytes());
    let size = u64::from(ELF_HEADER + PROGRAM_HEADER) + code.len() as u64;

    let mut file = Vec::new();
    file.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"); // 64 bits, little-endian, version 1
    file.extend(half(2)); // an executable
    file.extend(half(62)); // for x86-64
    file.extend(1_u32.to_le_bytes());
    file.extend(entry.to_le_bytes());
    file.extend(u64::from(ELF_HEADER).to_le_bytes()); // the program header follows this one
    file.extend([0; 8 + 4]); // no sections, no flags
    file.extend(
        [half(ELF_HEADER), half(PROGRAM_HEADER), half(1), half(0), half(0), half(0)].concat(),
    );

    file.extend(1_u32.to_le_bytes()); // load
    file.extend(5_u32.to_le_bytes()); // readable and executable
    file.extend([0; 8]); // the file from its beginning
    file.extend([BASE, BASE, size, size, 0x1000].map(u64::to_le_bytes).concat());
    file.extend(code);
    file
}

fn half(value: u16) -> [u8; 2] {
    value.to_le_bytes()
}
