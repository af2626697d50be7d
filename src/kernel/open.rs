//! What kind of file a kernel is given as, and how to get at its types.
//!
//! In: a path, or `running`. Out: a [`Kernel`]. What a file is, is told by what is in it, never by its name; what is packed is unpacked until there are types. An error says what the file is, what it
//! lacks, and what would do.

use super::companions::Beside;
use super::dwarf::DebugFile;
use super::elf::{self, Elf};
use super::image::{Image, Payload};
use super::places::module_name;
use super::section::{self, LoadedModule, Part};
use super::tracefs::{self, Tracefs};
use super::unpack::{Format, Room};
use super::{BtfSource, FileBytes, Kernel, KernelError, Places, Source, release};
use crate::btf;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// How often what was unpacked may be packed again: `vmlinux.tar.xz` with a vmlinuz in it is three.
const LAYERS: usize = 4;
/// In how many places a stream is tried where an image does not say where its own is.
const TRIES: usize = 16;

/// What to do about a kernel without types.
const NO_BTF: &str =
    "its kernel was built without CONFIG_DEBUG_INFO_BTF; give the vmlinux of its debug package";
/// The machine of BPF objects, which have types of their own (`e_machine`).
const EM_BPF: u16 = 247;
/// What does have types.
const WHAT_WOULD_DO: &str =
    "give BTF, an ELF file with BTF or DWARF, a kernel image, or a description of a tracepoint";

impl Kernel {
    /// Opens a kernel: `running`, or a file that has its types, or a folder of tracefs. `modules` are files of its modules; of the running kernel names will do.
    pub fn open(spec: &Path, modules: &[PathBuf]) -> Result<Kernel, KernelError> {
        Kernel::open_in(&Places::default(), spec, modules)
    }

    /// Opens what is in the bytes of a file, of the name `path`.
    pub fn from_bytes(places: &Places, path: &Path, bytes: Vec<u8>) -> Result<Kernel, KernelError> {
        let Opened { source, release } =
            Opener::new(places, path, bytes.len()).look(bytes.into(), &[])?;
        let name = path.display().to_string();
        Ok(Kernel { name, release, image: source, modules: Vec::new() })
    }

    /// Opens a kernel of a system whose folders are there.
    pub fn open_in(
        places: &Places,
        spec: &Path,
        modules: &[PathBuf],
    ) -> Result<Kernel, KernelError> {
        let mut kernel = if spec == "running" {
            running(places)?
        } else {
            let name = spec.display().to_string();
            let Opened { source, release } = open(places, spec)?;
            Kernel { name, release, image: source, modules: Vec::new() }
        };
        for module in modules {
            if !kernel.modules.iter().any(|(name, _)| *name == module.to_string_lossy()) {
                let path = module_file(places, &kernel, spec, module)?;
                let Opened { source, .. } = open(places, &path)?;
                kernel.modules.push((module_name(&path), source));
            }
        }
        Ok(kernel)
    }
}

/// The running kernel: the types that it shows, otherwise those of its image.
fn running(places: &Places) -> Result<Kernel, KernelError> {
    let release = places.release();
    let kernel = |image, modules| Kernel {
        name: "running".to_owned(),
        release: release.clone(),
        image,
        modules,
    };
    let sysfs = places.sysfs_image();
    if sysfs.exists() {
        let Opened { source, .. } = open(places, &sysfs)?;
        let module = |path: PathBuf| {
            let name = module_name(&path);
            (name, Box::new(LoadedModule { path, read: OnceLock::new() }) as Box<dyn Source>)
        };
        let modules = places.sysfs_modules().into_iter().map(module).collect();
        return Ok(kernel(source, modules));
    }
    let mut tried = vec![format!("{} (not there)", sysfs.display())];
    for path in release.as_deref().map(|release| places.images(release)).unwrap_or_default() {
        if !path.exists() {
            tried.push(format!("{} (not there)", path.display()));
            continue;
        }
        match open(places, &path) {
            Ok(Opened { source, .. }) => return Ok(kernel(source, Vec::new())),
            Err(error) => tried.push(error.to_string()),
        }
    }
    let why = format!(
        "the running kernel shows no types and no file with them was found; install its debug package or name a file. Looked at: {}",
        tried.join("; ")
    );
    Err(KernelError::NoTypes { path: "running".to_owned(), why })
}

/// The file that a module is given as: by its path, or of the running kernel by its name.
fn module_file(
    places: &Places,
    kernel: &Kernel,
    spec: &Path,
    module: &Path,
) -> Result<PathBuf, KernelError> {
    if spec != "running" || module.components().count() > 1 || module.exists() {
        return Ok(module.to_owned());
    }
    let name = module_name(module);
    let release = kernel.release.as_deref().unwrap_or_default();
    places.module(release, &name).ok_or_else(|| KernelError::NoTypes {
        path: name,
        why: "no module of that name is loaded, nor is there a file of it for the running kernel"
            .to_owned(),
    })
}

/// What was found in a file.
struct Opened {
    source: Box<dyn Source>,
    release: Option<String>,
}

/// A file that is being opened.
struct Opener<'p> {
    places: &'p Places,
    path: &'p Path,
    /// How much may be unpacked.
    room: Room,
}

/// What bytes are.
enum Kind {
    /// BTF, from the first byte to the last.
    Btf,
    /// An ELF file.
    Elf,
    /// A compressed stream.
    Stream(&'static Format),
    /// An archive, with the place of its first file.
    Archive(Range<usize>),
    /// A kernel image.
    Image(Image),
    /// The description of a tracepoint's record.
    Format,
    /// Something else.
    Unknown,
}

impl Kind {
    fn of(bytes: &[u8]) -> Kind {
        if btf::byte_order(bytes).is_ok() {
            Kind::Btf
        } else if bytes.starts_with(elf::MAGIC) {
            Kind::Elf
        } else if let Some(format) = Format::of(bytes) {
            Kind::Stream(format)
        } else if let Some(image) = Image::of(bytes) {
            Kind::Image(image)
        } else if let Some(range) = archived(bytes) {
            Kind::Archive(range)
        } else if tracefs::is_format(bytes) {
            Kind::Format
        } else {
            Kind::Unknown
        }
    }
}

/// The first file of a tar archive (POSIX.1, `ustar`): BTF is kept that way in public collections.
fn archived(bytes: &[u8]) -> Option<Range<usize>> {
    const BLOCK: usize = 512;
    let header = bytes.get(..BLOCK)?;
    let size = header.get(257..262).filter(|magic| *magic == b"ustar").and(header.get(124..136))?;
    let size = str::from_utf8(size).ok()?.trim_matches(['\0', ' ']);
    let end = usize::from_str_radix(size, 8).ok()?.checked_add(BLOCK)?;
    (end > BLOCK && end <= bytes.len()).then_some(BLOCK..end)
}

/// Opens a file, or a folder of tracefs.
fn open(places: &Places, path: &Path) -> Result<Opened, KernelError> {
    let opener = |bytes| Opener::new(places, path, bytes);
    if let Some(folder) = path.is_dir().then(|| Tracefs::folder(path)) {
        let source = folder.ok_or_else(|| opener(0).none("a folder, and not one of tracefs"))?;
        return Ok(Opened { source: Box::new(source), release: None });
    }
    let file = FileBytes::open(path)?;
    opener(file.len()).look(file, &[])
}

impl<'p> Opener<'p> {
    /// For a file of so many bytes.
    fn new(places: &'p Places, path: &'p Path, bytes: usize) -> Opener<'p> {
        Opener { places, path, room: Room::for_bytes(bytes) }
    }

    fn none(&self, why: impl Into<String>) -> KernelError {
        KernelError::NoTypes { path: self.path.display().to_string(), why: why.into() }
    }

    /// Finds the types in bytes. `around` is what they were packed in, outermost first.
    fn look(&self, file: FileBytes, around: &[&str]) -> Result<Opened, KernelError> {
        if around.len() > LAYERS {
            return Err(self.none("packed too many times over"));
        }
        let within = |layer| [around, &[layer]].concat();
        match Kind::of(&file) {
            Kind::Btf => {
                let source = Box::new(BtfSource::raw(&file));
                Ok(Opened { source, release: None })
            }
            Kind::Elf => self.elf(&file, around),
            Kind::Format => {
                Ok(Opened { source: Box::new(Tracefs::file(self.path)), release: None })
            }
            Kind::Archive(range) => {
                let inner = file.get(range).unwrap_or_default().to_vec();
                drop(file);
                self.look(inner.into(), &within("tar archive"))
            }
            Kind::Stream(format) => {
                let inner = self.unpack(format, &file, around)?;
                drop(file);
                self.look(inner.into(), &within(format.name))
            }
            Kind::Image(image) => self.image(&file, &image, around),
            Kind::Unknown => Err(self.none(match around {
                [] => format!("neither BTF nor a file of a kernel; {WHAT_WOULD_DO}"),
                _ => format!(
                    "{}, and what is in it is neither BTF nor a kernel; {WHAT_WOULD_DO}",
                    described(around)
                ),
            })),
        }
    }

    fn unpack(
        &self,
        format: &Format,
        stream: &[u8],
        around: &[&str],
    ) -> Result<Vec<u8>, KernelError> {
        format.unpack(stream, &self.room).map_err(|why| {
            let what = described(&[around, &[format.name]].concat());
            self.none(format!("{what}, which cannot be unpacked: {why}; unpack it first, or give the vmlinux of its debug package"))
        })
    }

    /// A kernel image, or what was unpacked of one.
    fn image(
        &self,
        file: &FileBytes,
        image: &Image,
        around: &[&str],
    ) -> Result<Opened, KernelError> {
        let within = [around, &[image.name]].concat();
        let release = image.release.and_then(|at| release::at(file, at));
        let found = match &image.payload {
            Payload::Stream(range) => {
                let broken = || self.none(format!("{}, cut short", described(&within)));
                let stream = file.get(range.clone()).ok_or_else(broken)?;
                match Format::of(stream) {
                    Some(format) => {
                        let inner = self.unpack(format, stream, &within)?;
                        self.look(inner.into(), &[&within[..], &[format.name]].concat())
                    }
                    // A kernel that is not compressed is an ELF file as it is.
                    None => self.look(stream.to_vec().into(), &within),
                }
            }
            Payload::Somewhere => self.somewhere(file, &within),
            Payload::Flat => self.flat(file, &within),
        };
        let Opened { source, release: inner } = found?;
        Ok(Opened { source, release: release.or(inner) })
    }

    /// An image that does not say where its kernel is: in the first stream that has types.
    fn somewhere(&self, file: &[u8], around: &[&str]) -> Result<Opened, KernelError> {
        let mut last = None;
        for (at, format) in Format::places(file, TRIES) {
            let Ok(inner) = format.unpack(file.get(at..).unwrap_or_default(), &self.room) else {
                continue;
            };
            let within = [around, &[format.name]].concat();
            let found = match Kind::of(&inner) {
                Kind::Elf => self.elf(&inner.into(), &within),
                _ => self.flat(&inner.into(), &within),
            };
            match found {
                Ok(opened) => return Ok(opened),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| {
            self.none(format!(
                "{}, in which no packed kernel was found; give the vmlinux of its debug package",
                described(around)
            ))
        }))
    }

    /// A kernel's memory as it is laid out.
    fn flat(&self, file: &FileBytes, around: &[&str]) -> Result<Opened, KernelError> {
        let range = section::search(file).ok_or_else(|| {
            self.none(format!("{} without type information: {NO_BTF}", described(around)))
        })?;
        let release = release::banner(file);
        let source = BtfSource::new(Part::of(file, range));
        Ok(Opened { source: Box::new(source), release })
    }

    /// An ELF file: with BTF, with DWARF, with a packed kernel, or with a companion that has its types.
    fn elf(&self, file: &FileBytes, around: &[&str]) -> Result<Opened, KernelError> {
        let within = [around, &["ELF file"]].concat();
        let elf = Elf::parse(file)
            .ok_or_else(|| self.none(format!("{} whose headers are broken", described(&within))))?;
        if elf.machine == EM_BPF {
            return Err(self.none(format!("a BPF object, not a kernel; {WHAT_WOULD_DO}")));
        }
        let release = release::of(&elf);
        if let Some(btf) = elf.section(".BTF") {
            let pointer_size = Some(elf.address_size);
            let base = elf.section(".BTF.base").map(|base| Part::of(file, base.range()));
            let btf = if btf.compressed {
                btf.contents(&elf).map_err(|why| self.none(why))?.into_owned().into()
            } else {
                Part::of(file, btf.range())
            };
            let source = BtfSource { btf, base, pointer_size };
            return Ok(Opened { source: Box::new(source), release });
        }
        if elf.has_dwarf() {
            let beside = Beside {
                places: self.places.clone(),
                path: self.path.to_owned(),
                file: file.clone(),
            };
            let name = self.path.display().to_string();
            let source = DebugFile::new(name, Box::new(file.clone()), Box::new(beside));
            return Ok(Opened { source: Box::new(source), release });
        }
        // `arch/powerpc/boot/wrapper`: an ELF file with a packed one in a section.
        if let Some(packed) = elf.sections.iter().find(|s| s.name.starts_with(b".kernel:vmlinux"))
            && let Some(format) = Format::of(packed.data)
        {
            let inner = self.unpack(format, packed.data, &within)?;
            return self.look(inner.into(), &[&within[..], &[format.name]].concat());
        }
        self.companion(&elf, &within)
            .map(|opened| Opened { release: release.or(opened.release), ..opened })
    }

    /// The file with the debugging information of another.
    fn companion(&self, elf: &Elf<'_>, around: &[&str]) -> Result<Opened, KernelError> {
        let build_id = elf.build_id();
        let link = elf.debug_link();
        let places =
            self.places.debug_files(self.path, build_id, link.as_ref().map(|link| link.name));
        for path in places.iter().filter(|path| path.is_file() && *path != self.path) {
            let Some(file) = FileBytes::map(path) else { continue };
            let Some(other) = Elf::parse(&file) else { continue };
            let same = match (build_id, other.build_id()) {
                (Some(id), Some(other)) => id == other,
                _ => link
                    .as_ref()
                    .is_some_and(|link| link.checksum == super::places::checksum(&file)),
            };
            // What has neither BTF nor DWARF has no companion of its own.
            if same && (other.section(".BTF").is_some() || other.has_dwarf()) {
                return Opener::new(self.places, path, file.len()).elf(&file, &[]);
            }
        }
        let tried: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
        let tried = if tried.is_empty() {
            String::new()
        } else {
            format!("; its debug file is not at any of {}", tried.join(", "))
        };
        Err(self.none(format!(
            "{} without type information, neither BTF nor DWARF: {NO_BTF}{tried}",
            described(around)
        )))
    }
}

/// `ELF file in a gzip stream in a bzImage`
fn described(around: &[&str]) -> String {
    let mut layers = around.iter().rev();
    let first = layers.next().map_or(String::new(), |first| with_article(first));
    layers.fold(first, |text, layer| format!("{text} in {}", with_article(layer)))
}

/// `an ELF file`
fn with_article(noun: &str) -> String {
    match noun {
        "gzip" | "xz" | "zstd" | "lz4" | "bzip2" | "lzma" | "lzo" => {
            let article = if noun == "xz" || noun.starts_with('l') { "an" } else { "a" };
            format!("{article} {noun} stream")
        }
        _ => {
            let article = if noun.starts_with(['a', 'E', 's']) { "an" } else { "a" };
            format!("{article} {noun}")
        }
    }
}
