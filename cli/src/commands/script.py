import ctypes, fcntl, os, shutil, subprocess, sys, tempfile, zlib

libc = ctypes.CDLL(None, use_errno=True)
work = tempfile.mkdtemp(prefix="seedbed-")
image, root = os.path.join(work, "image"), os.path.join(work, "mnt")
files = {}  # open files by path: a rename does not close them
unnamed = []  # open files that have lost their name


def run(*command):
    subprocess.run(command, check=True)


def mount():
    options = ",".join(["loop"] + ([MOUNT] if MOUNT else []))
    run("mount", "-t", FS, "-o", options, image, root)


def begin():
    if os.geteuid() != 0:
        sys.exit("this mounts file systems: run it as root")
    for program in ("mkfs." + FS, "mount", "umount", "cp"):
        if shutil.which(program) is None:
            sys.exit(program + " is missing: install the tools of " + FS)
    os.mkdir(root)
    with open(image, "wb") as empty:
        empty.truncate(SIZE)
    run("mkfs." + FS, *MKFS, image)
    mount()
    with open(os.path.join(root, OTHER), "wb") as other:
        os.fsync(other.fileno())
    run("sync", "-f", root)


def end():
    close_all()
    subprocess.run(["umount", root])
    shutil.rmtree(work)


def at(path):
    return os.path.join(root, path)


def opened(path):
    if path not in files:
        files[path] = os.open(at(path), os.O_RDWR)
    return files[path]


def close_all():
    for file in list(files.values()) + unnamed:
        os.close(file)
    files.clear()
    unnamed.clear()


def lose_name(path):
    if path in files:
        unnamed.append(files.pop(path))


def create(path):
    lose_name(path)
    files[path] = os.open(at(path), os.O_RDWR | os.O_CREAT | os.O_TRUNC)


def write(path, offset, text):
    data = bytes.fromhex(text)
    assert os.pwrite(opened(path), data, offset) == len(data)


def set_len(path, length):
    os.ftruncate(opened(path), length)


def rename(old, new):
    os.rename(at(old), at(new))
    lose_name(new)
    if old in files:
        files[new] = files.pop(old)


def hard_link(old, new):
    os.link(at(old), at(new))


def allocate(path, offset, length, keep_size):
    mode = 1 if keep_size else 0  # FALLOC_FL_KEEP_SIZE
    if libc.fallocate(opened(path), mode, ctypes.c_int64(offset), ctypes.c_int64(length)):
        raise OSError(ctypes.get_errno(), "fallocate")


def remove_file(path):
    os.unlink(at(path))
    lose_name(path)


def create_dir(path):
    os.mkdir(at(path))


def remove_dir(path):
    os.rmdir(at(path))


def sync_all(path):
    os.fsync(opened(path))


def sync_data(path):
    os.fdatasync(opened(path))


def sync_written(path, offset, length):
    """The same bytes once more, until they are durable, and no others."""
    data = os.pread(opened(path), length, offset)
    file = os.open(at(path), os.O_WRONLY | os.O_DSYNC)
    os.pwrite(file, data, offset)
    os.close(file)


def sync_dir(path):
    directory = os.open(at(path), os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)


def write_back(path, offset, length):
    """What the kernel does by itself: the pages reach the device, without a flush."""
    wait_write_wait = 7
    if libc.sync_file_range(
        opened(path), ctypes.c_int64(offset), ctypes.c_int64(length), wait_write_wait
    ):
        raise OSError(ctypes.get_errno(), "sync_file_range")


def commit():
    """What the kernel does by itself: the file system commits its metadata."""
    if FS == "btrfs":
        directory, transaction = os.open(root, os.O_RDONLY), bytearray(8)
        fcntl.ioctl(directory, 0x80089418, transaction)  # BTRFS_IOC_START_SYNC
        fcntl.ioctl(directory, 0x40089416, transaction)  # BTRFS_IOC_WAIT_SYNC
        os.close(directory)
        return
    with open(os.path.join(root, OTHER), "ab") as other:
        other.write(b"x")
        other.flush()
        os.fsync(other.fileno())


def crash():
    """The process dies: the page cache lives."""
    close_all()


def power_loss():
    """The power goes: what is on the device at this instant is all there is."""
    run("cp", "--sparse=always", image, image + ".left")
    close_all()
    run("umount", root)
    os.rename(image + ".left", image)
    mount()


def expect(left):
    """Compares what is there with what the simulated power loss left."""
    there = {}
    for folder, dirs, names in os.walk(root):
        below = os.path.relpath(folder, root)
        for name in dirs + names:
            path = os.path.normpath(os.path.join(below, name))
            if path not in ("lost+found", OTHER):
                there[path] = None
            if name in names:
                with open(at(path), "rb") as file:
                    there[path] = file.read()
    there.pop(OTHER, None)
    same = True
    for path in sorted(left.keys() | there.keys()):
        found = shown(there, path)
        fits = path in left and path in there and left[path] == there[path]
        same = same and fits
        print("%s: %s%s" % (path, found, "" if fits else ", not " + shown(left, path)))
    return same


def shown(tree, path):
    if path not in tree:
        return "nothing"
    data = tree[path]
    return "a directory" if data is None else "%d bytes, crc %08x" % (len(data), zlib.crc32(data))


def main():
    begin()
    try:
        same = steps()
    finally:
        end()
    print("reproduced" if same else "not reproduced: this kernel left something else")
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
