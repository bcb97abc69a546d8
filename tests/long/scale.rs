//! Large data sets, caches and checkpoints take the memory that they must, on Linux.
//!
//! Each test prints its times beside its memory: they depend on the machine, so none but that of opening a
//! cache is asserted.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::Path,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use g2d::{
    Batch, Modality, Teacher, TeacherOutput,
    checkpoint::{RunParts, SnapshotFolder},
    data::{BatchOrder, Loader, LoaderOptions},
    loss::Classification,
    paper::data::{ClipCache, ClipDataset, Cremad, Mode, OnMissing},
    teacher::cache::{Digest, Header, Identity, OutputFile, Storage},
    weights,
};
use tch::{Device, Kind, Tensor, nn};

use crate::{
    cremad_files::{write_picture, write_sound},
    support::Tiny,
};

const MIB: u64 = 1 << 20;

/// Peak memory is that of the process, so that one test runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line of a file in `/proc` in bytes.
fn memory(file: &str, line: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap();
    let found = text.lines().find_map(|other| other.strip_prefix(line)).unwrap();
    1024 * found.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap()
}

fn own_memory(line: &str) -> u64 {
    memory("/proc/self/status", line)
}

/// The result of `work` and the highest resident memory meanwhile, over that before.
fn peak<T>(work: impl FnOnce() -> T) -> (T, u64) {
    fs::write("/proc/self/clear_refs", "5").unwrap(); // the peak becomes the present value
    let before = own_memory("VmRSS");
    let result = work();
    (result, own_memory("VmHWM").saturating_sub(before))
}

/// The result of `work` and its seconds.
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}

/// Bytes in MiB, for messages.
fn mib(bytes: u64) -> u64 {
    bytes / MIB
}

/// The number in the environment variable `name`, or `default`.
fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Clips in CREMA-D's layout, of which many share the content of a few files by hard links.
fn write_linked_clips(folder: &Path, clips: usize) {
    /// A file system allows 65000 links of a file.
    const ORIGINALS: usize = 16;
    let (sounds, pictures) = (folder.join("sounds"), folder.join("pictures"));
    fs::create_dir_all(&sounds).unwrap();
    fs::create_dir_all(&pictures).unwrap();
    for i in 0..ORIGINALS {
        write_sound(&sounds.join(format!("{i}.wav")), 16_000, i as u32).unwrap();
        write_picture(&pictures.join(format!("{i}.jpg")), i as u32).unwrap();
    }
    fs::create_dir_all(folder.join("AudioWAV")).unwrap();
    let (mut train, mut test) = (String::new(), String::new());
    for i in 0..=clips {
        let label = Cremad::LABELS[i % Cremad::LABELS.len()];
        let name = format!("{:07}_IEO_{label}_XX", i);
        let list = if i < clips { &mut train } else { &mut test };
        *list += &format!("{name},{label}\n");
        let frames = folder.join(format!("Image-01-FPS/{name}"));
        fs::create_dir_all(&frames).unwrap();
        let original = i % ORIGINALS;
        let link = |from: &Path, to: &Path| fs::hard_link(from, to).unwrap();
        link(&sounds.join(format!("{original}.wav")), &folder.join(format!("AudioWAV/{name}.wav")));
        link(&pictures.join(format!("{original}.jpg")), &frames.join("00000.jpg"));
    }
    fs::write(folder.join("train.csv"), train).unwrap();
    fs::write(folder.join("test.csv"), test).unwrap();
}

#[test]
#[ignore = "writes 200,000 folders"]
fn a_data_set_of_many_clips_takes_memory_for_its_names_and_a_few_batches() {
    /// Names, labels and places of the files of a clip.
    const PER_CLIP: u64 = 2048;
    /// Batches in work and ahead, and what the decoders and the allocator keep.
    const BATCHES: u64 = 512 * MIB;
    let _alone = alone();
    let clips = setting("G2D_SCALE_CLIPS", 200_000);
    let read = setting("G2D_SCALE_READ", 2_000);
    let folder = tempfile::tempdir().unwrap();
    let ((), seconds) = timed(|| write_linked_clips(folder.path(), clips));
    println!("{clips} clips written in {seconds:.1} s");

    let ((dataset, seconds), listed) = peak(|| {
        timed(|| {
            let cremad = Cremad::new(folder.path(), OnMissing::Error);
            let train = cremad.authors_split().unwrap().train;
            ClipDataset::new(train, &cremad.transform(), Mode::Train, ClipCache::Off).unwrap()
        })
    });
    println!("listed and checked in {seconds:.1} s, with {} MiB", mib(listed));
    assert!(listed < PER_CLIP * clips as u64, "{listed} bytes for {clips} clips");

    let order = BatchOrder::shuffled(16, 1);
    let loader = Loader::new(dataset, order, LoaderOptions { workers: 2, ..Default::default() });
    let loader = loader.unwrap();
    let ((samples, seconds), loaded) = peak(|| {
        timed(|| {
            let batches = loader.batches(0, Device::Cpu).take(read.div_ceil(16));
            batches.map(|batch| batch.unwrap().size()).sum::<i64>()
        })
    });
    println!("{samples} samples read in {seconds:.1} s, with {} MiB", mib(loaded));
    assert!(samples as usize >= read.min(clips));
    assert!(loaded < BATCHES, "{loaded} bytes beside the data set");
}

/// A teacher whose outputs are functions of the sample id.
struct Synthetic(Modality);

impl Synthetic {
    const WIDTH: i64 = 4;

    fn features(ids: &[i64]) -> Tensor {
        // Exact in `Half`.
        let base = Tensor::from_slice(ids).remainder(512).to_kind(Kind::Float).unsqueeze(1);
        base + Tensor::arange(Self::WIDTH, (Kind::Float, Device::Cpu))
    }
}

impl Teacher for Synthetic {
    fn modality(&self) -> &Modality {
        &self.0
    }

    fn output(&self, _m: usize, batch: &Batch) -> g2d::Result<TeacherOutput> {
        let features = Self::features(batch.ids().unwrap());
        let logits = features.narrow(1, 0, 2) * 2.0;
        Ok(TeacherOutput { features, logits, host: None })
    }
}

#[test]
#[ignore = "writes a cache of 10 million samples"]
fn a_cache_of_many_samples_opens_in_a_second_and_stays_on_disk() {
    /// What may stay in memory beside the mapped file, which the system can drop at any time.
    const KEPT: u64 = 32 * MIB;
    const ROWS: usize = 20_000;
    let _alone = alone();
    let samples = setting("G2D_SCALE_SAMPLES", 10_000_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.safetensors");
    let digest = Digest::from_parts(["scale"]);
    let file = OutputFile::new(&path, Identity::new("a", digest, digest)).storage(Storage::Half);

    let batches = (0..samples / ROWS).map(|i| {
        let ids: Vec<i64> = (0..ROWS as i64).map(|row| (i * ROWS) as i64 + row).collect();
        let targets = Tensor::from_slice(&ids).remainder(2);
        Ok(Batch::new([Tensor::zeros([ROWS as i64, 1], tch::kind::FLOAT_CPU)], targets)
            .with_ids(ids))
    });
    let teacher = Synthetic("a".into());
    let (recorded, seconds) = timed(|| peak(|| file.record(&teacher, 0, batches).unwrap()));
    let bytes = fs::metadata(&path).unwrap().len();
    println!("{} MiB recorded in {seconds:.1} s, with {} MiB", mib(bytes), mib(recorded.1));

    let (header, seconds) = timed(|| Header::from_file(&path).unwrap());
    assert_eq!(header.samples(), samples as i64);
    println!("checked by `Header::from_file` in {seconds:.2} s");
    let (checked, seconds) = timed(|| file.open(Device::Cpu).unwrap());
    println!("opened with the check of its content in {seconds:.2} s");
    drop(checked);

    let before = own_memory("RssAnon");
    let file = file.check_content(false);
    // The best of three, since the machine may have other work.
    let open = || timed(|| file.open(Device::Cpu).unwrap());
    let (cached, seconds) = (0..3).map(|_| open()).min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    println!("opened without it in {seconds:.2} s");
    assert!(seconds < 1.0, "{seconds} s");
    assert_eq!(cached.len(), samples);

    let ((), seconds) = timed(|| {
        for step in 0..1000_i64 {
            let ids: Vec<i64> =
                (0..16).map(|i| (step * 7919 + i * 104_729) % samples as i64).collect();
            let targets = Tensor::zeros([16], tch::kind::INT64_CPU);
            let batch = Batch::new(Vec::<Tensor>::new(), targets).with_ids(ids.clone());
            let output = cached.output(0, &batch).unwrap();
            assert_eq!(output.features, Synthetic::features(&ids));
            assert_eq!(output.host.unwrap().targets, Tensor::from_slice(&ids).remainder(2));
        }
    });
    let kept = own_memory("RssAnon").saturating_sub(before);
    println!("1000 batches looked up in {seconds:.2} s; {} MiB kept", mib(kept));
    assert!(kept < KEPT, "{kept} bytes");
}

/// The seconds that a plain program takes to write `bytes` bytes, fsynced, and to read them back.
fn plain(path: &Path, bytes: u64) -> [f64; 2] {
    let mut piece = vec![7_u8; 4 << 20];
    let ((), written) = timed(|| {
        let mut file = File::create(path).unwrap();
        for _ in 0..bytes / piece.len() as u64 {
            file.write_all(&piece).unwrap();
        }
        file.sync_all().unwrap();
    });
    drop_from_page_cache(path);
    let ((), read) = timed(|| {
        let mut file = File::open(path).unwrap();
        while file.read(&mut piece).unwrap() > 0 {}
    });
    fs::remove_file(path).unwrap();
    [written, read]
}

/// Makes the next read of a file one from the disk; without `dd` it may come from memory.
fn drop_from_page_cache(path: &Path) {
    let of = format!("of={}", path.display());
    let options = ["oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"];
    let _ = Command::new("dd").arg(of).args(options).status();
}

#[test]
#[ignore = "writes 12 GB"]
fn a_checkpoint_of_a_large_model_takes_little_memory_beside_the_model() {
    const TENSORS: usize = 16;
    let _alone = alone();
    // A billion parameters where the memory allows it, else a tenth.
    let available = memory("/proc/meminfo", "MemAvailable");
    let parameters = if available > 12 << 30 { 1_000_000_000 } else { 100_000_000 };
    let parameters = setting("G2D_SCALE_PARAMETERS", parameters);
    let each = (parameters / TENSORS) as i64;
    let size = 4 * each as u64 * TENSORS as u64;
    let folder = tempfile::tempdir().unwrap();
    let [written, read] = plain(&folder.path().join("plain"), size);
    let rate = |seconds: f64| mib(size) as f64 / seconds;
    println!(
        "{} MiB; a plain program writes {:.0} MiB/s and reads {:.0} MiB/s",
        mib(size),
        rate(written),
        rate(read)
    );

    let path = folder.path().join("weights.safetensors");
    let mut vs = nn::VarStore::new(Device::Cpu);
    drop(vs.root().zeros("warm_up", &[1]));
    weights::save(&vs, &path).unwrap(); // so that the code of libtorch is in memory
    weights::load(&mut vs, &path).unwrap();
    let before = own_memory("VmRSS");
    let mut vs = nn::VarStore::new(Device::Cpu);
    let fill = |vs: &nn::VarStore, value: Option<f64>| {
        let _no_grad = tch::no_grad_guard();
        for (name, mut tensor) in vs.variables() {
            let i: f64 = name[1..].parse().unwrap();
            let _ = tensor.fill_(value.unwrap_or(i + 0.5));
        }
    };
    (0..TENSORS).for_each(|i| drop(vs.root().zeros(&format!("w{i}"), &[each / 100, 100])));
    fill(&vs, None);
    let is_filled = |vs: &nn::VarStore| {
        vs.variables().iter().all(|(name, tensor)| {
            let i: f64 = name[1..].parse().unwrap();
            let ends = [tensor.min(), tensor.max()].map(|end| end.double_value(&[]));
            ends == [i + 0.5; 2]
        })
    };
    // The peak since the last call of `peak`, the model included.
    let check_peak = |what: &str| {
        let all = own_memory("VmHWM") - before;
        println!("{what}: {:.3} × the size of the model", all as f64 / size as f64);
        assert!(all < size * 6 / 5, "{what}: {all} bytes for {size}");
    };

    let (((), seconds), _) = peak(|| timed(|| weights::save(&vs, &path).unwrap()));
    println!("`weights::save`: {:.0} MiB/s", rate(seconds));
    check_peak("peak of `weights::save`");
    drop_from_page_cache(&path);
    fill(&vs, Some(0.0));
    let (((), seconds), _) = peak(|| timed(|| weights::load(&mut vs, &path).unwrap()));
    println!("`weights::load`: {:.0} MiB/s", rate(seconds));
    check_peak("peak of `weights::load`");
    assert!(is_filled(&vs));
    fs::remove_file(&path).unwrap();

    // A snapshot also computes the digests of its files, for which it reads them again.
    let student = Tiny::linear(2);
    let mut trainer = student.builder(Classification::default()).build(&student).unwrap();
    let mut snapshots = SnapshotFolder::open(folder.path().join("run")).unwrap();
    let mut parts = RunParts::new(&mut trainer).weights("large", &vs);
    let ((_, seconds), _) =
        peak(|| timed(|| snapshots.save(&mut parts, &(), None).map(|_| ()).unwrap()));
    println!("snapshot saved: {:.0} MiB/s", rate(seconds));
    check_peak("peak of saving a snapshot");
    fill(&vs, Some(0.0));
    let ((state, seconds), _) = peak(|| timed(|| snapshots.resume::<()>(&mut parts).unwrap()));
    println!("snapshot loaded: {:.0} MiB/s", rate(seconds));
    check_peak("peak of loading a snapshot");
    assert!(state.is_some() && is_filled(&vs));
}
