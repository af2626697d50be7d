#!/bin/busybox sh
# The first process of the virtual machine: loads every object of a folder at once, makes events, and writes what the loaders print to the
# second serial line, between marks.
/bin/busybox --install -s
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/
mount -t devtmpfs dev /dev
exec >/dev/console 2>&1 </dev/null
for m in proc:/proc sysfs:/sys tracefs:/sys/kernel/tracing debugfs:/sys/kernel/debug bpf:/sys/fs/bpf cgroup2:/sys/fs/cgroup tmpfs:/tmp tmpfs:/mnt; do
    mount -t ${m%%:*} none ${m#*:}
done
ip link set lo up
stty -F /dev/ttyS1 raw -echo
exec 3>/dev/ttyS1
echo "@ kernel $(uname -r)" >&3
for i in $(seq 100); do [ -b /dev/nvme0n1 ] && break; usleep 50000; done
mke2fs /dev/nvme0n1 >/dev/null && mkdir -p /disk && mount -t ext4 /dev/nvme0n1 /disk || mount -t ext2 /dev/nvme0n1 /disk
mkdir -p /tmp/out

for mode in $(ls /objects); do
    rm -f /tmp/hold /tmp/out/*
    mkfifo /tmp/hold
    exec 4<>/tmp/hold
    for object in /objects/$mode/*.o; do
        name=$(basename $object .o)
        (
            /loader $object </tmp/hold >/tmp/out/$name.out 2>/tmp/out/$name.err 4>&- 3>&-
            echo $? >/tmp/out/$name.status
        ) 4>&- &
        # One after the other: each is through with loading before the next begins.
        while ! grep -q '^ready' /tmp/out/$name.out 2>/dev/null && [ ! -e /tmp/out/$name.status ]; do usleep 20000; done
    done
    sh /workload.sh >/tmp/facts 2>/dev/console 4>&- 3>&-
    exec 4>&-
    wait
    {
        echo "@ mode $mode"
        cat /tmp/facts
        for status in /tmp/out/*.status; do
            name=$(basename $status .status)
            echo "@ object $name $(cat $status)"
            cat /tmp/out/$name.out
            # Of a verifier's log the end says why.
            tail -n 25 /tmp/out/$name.err | sed 's/^/! /'
        done
    } >&3
done
echo "@ end" >&3
reboot -f
