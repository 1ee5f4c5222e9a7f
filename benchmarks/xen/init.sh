#!/bin/busybox sh
# Dom0's only process: brings up Xen's tools, runs one scene after the other, and powers off.
# SCENES from the kernel's command line: AFFINITY:GUESTS:BUSY_US:IDLE_US:SHIFT_US, with + between.
# What scene k traced goes to /dev/vda from MiB k * SLOT on.
/bin/busybox --install -s /bin
export PATH=/bin LD_LIBRARY_PATH=/lib
for fs in proc:/proc sysfs:/sys devtmpfs:/dev tmpfs:/run tmpfs:/tmp; do mount -t ${fs%:*} x ${fs#*:}; done
rm -rf /var/run /var/lock; mkdir -p /run/xen /run/xenstored /run/lock /dev/pts /dev/shm
ln -s /run /var/run; ln -s /run/lock /var/lock
mount -t devpts x /dev/pts; mount -t tmpfs x /dev/shm
for name in $(cat /modules); do insmod "/mod/$name.ko"; done
mount -t xenfs x /proc/xen
xenstored --pid-file /run/xenstored.pid; sleep 1
xen-init-dom0 > /dev/null; xenconsoled --pid-file=/run/xenconsoled.pid
for word in $(cat /proc/cmdline); do case $word in [A-Z]*=*) export "$word" ;; esac; done
echo "== up $(xl info xen_version)"

scene() { # affinity guests busy idle shift
  more=""
  [ "$1" = none ] && more='cpus="all"
cpus_soft="all"'
  for i in $(seq "$2"); do
    printf 'name="v%s"\nkernel="/guest"\nmemory=8\nvcpus=%s\nextra="vcpus=%s busy=%s idle=%s"\n%s\n' \
      "$i" "$VCPUS" "$VCPUS" "$3" "$4" "$more" > /tmp/v.cfg
    xl create -p -q /tmp/v.cfg
    [ "$1" = hard ] && xl vcpu-pin "v$i" all "node:$(xl list -n "v$i" | awk 'NR > 1 {print $NF}')" -
  done
  echo "== placed"; xl list -n | awk 'NR > 2 {print $2, $NF}'
  # QEMU repeats itself exactly: a run differs from another by when its guests start.
  for i in $(seq "$2"); do xl unpause "v$i"; usleep "$5"; done
  sleep 1
  echo "== before"; xl vcpu-list
  xentrace -D -e 0x0002f000 -S 128 /dev/shm/trace & tracer=$!
  sleep "$SECS"; kill $tracer; wait $tracer
  echo "== after"; xl vcpu-list
  dd if=/dev/shm/trace of=/dev/vda bs=1M seek=$((slot * SLOT)) 2> /dev/null; sync
  echo "== done"
  for i in $(seq "$2"); do xl destroy "v$i"; done
}
slot=0
for words in $(echo "$SCENES" | tr + ' '); do
  echo "== scene $slot"
  scene $(echo "$words" | tr : ' ')
  slot=$((slot + 1))
done
echo "== end"; sync; poweroff -f
