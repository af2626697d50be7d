# Makes events of which it knows everything, and prints what it knows: `fact NAME VALUE`.
fact() { echo "fact $1 $2"; }
fact shell $$

# A process that ends with status 3, and one that is killed.
fact exits "$(sh -c 'echo $$; exit 3')"
sleep 100 &
fact killed $!
usleep 100000
kill -TERM $!
wait $! 2>/dev/null

# The mark: a file that only this shell opens, and what /proc says of the shell. It is read 3 times, 1000 bytes each.
head -c 3000 /dev/urandom >/disk/vm-mark
: >>/disk/vm-mark
fact inode "$(stat -c %i /disk/vm-mark)"
fact size "$(stat -c %s /disk/vm-mark)"
fact ppid "$(cut -d' ' -f4 /proc/$$/stat)"
fact start_ticks "$(cut -d' ' -f22 /proc/$$/stat)"
fact mnt_ns "$(readlink /proc/$$/ns/mnt | tr -dc 0-9)"
fact pid_ns "$(readlink /proc/$$/ns/pid | tr -dc 0-9)"
dd if=/disk/vm-mark of=/dev/null bs=1000 count=3 2>/dev/null &
fact reader $!
wait $!

# Names that are not there.
cat /vm-missing 2>/dev/null &
fact opens $!
wait $!
stat /vm-missing >/dev/null 2>&1

# A connection on the loopback: "hello" and a line end, once.
nc -l -p 7777 >/dev/null &
fact server $!
usleep 300000
echo hello | nc -w 1 127.0.0.1 7777 >/dev/null &
wait
# A port where nobody listens.
nc -w 1 127.0.0.1 7778 </dev/null 2>/dev/null

# One block of the disk, far behind the file system's own start: sector 8000.
sync
dd if=/dev/zero of=/dev/nvme0n1 bs=4096 seek=1000 count=1 conv=notrunc,fsync 2>/dev/null

# A question for CAP_SYS_CHROOT, and a mount.
chroot / /bin/true
mkdir -p /tmp/vm-mount
mount -t tmpfs vm-source /tmp/vm-mount
umount /tmp/vm-mount

# Files that are written, created, and written out.
echo written >/disk/vm-created
sync
rm /disk/vm-created

# More memory than a cgroup has.
echo +memory >/sys/fs/cgroup/cgroup.subtree_control
mkdir -p /sys/fs/cgroup/vm-small
echo 8388608 >/sys/fs/cgroup/vm-small/memory.max
sh -c 'echo $$ >/sys/fs/cgroup/vm-small/cgroup.procs; exec tail /dev/zero' &
fact eater $!
wait $! 2>/dev/null
rmdir /sys/fs/cgroup/vm-small
exit 0
