#!/bin/sh
# Makes the root of the image from Debian packages: rootfs.sh ARCH FOLDER [PACKAGE…]
# ARCH is amd64 or arm64, and may be another than this machine's: packages are unpacked and nothing of them is run.
# Runs in the first stage of the Dockerfile, in any Debian with apt.
set -eu
arch=$1
root=$2
# What Node's binary is linked with, the certificates of public authorities, and the name of the distribution.
packages='base-files libc6 libgcc-s1 libstdc++6 ca-certificates'
umask 022

downloads=$(mktemp -d)
cd "$downloads"
dpkg --add-architecture "$arch"
apt-get update -qq
for package in $packages; do
  case $package in
    ca-certificates) apt-get download -qq -o APT::Sandbox::User=root "$package" ;;
    *) apt-get download -qq -o APT::Sandbox::User=root "$package:$arch" ;;
  esac
done
# GCC's libraries have their license in a package of its own, whose name has GCC's version.
apt-get download -qq -o APT::Sandbox::User=root "$(dpkg-deb -f libgcc-s1_*.deb Depends | grep -o 'gcc-[0-9]*-base'):$arch"

mkdir -p "$root"
for folder in bin lib sbin; do
  mkdir -p "$root/usr/$folder"
  ln -s "usr/$folder" "$root/$folder"
done
# x86's loader is in /lib64, ARM's in /lib.
mkdir -p "$root/usr/lib64"
ln -s usr/lib64 "$root/lib64"

mkdir -p "$root/var/lib/dpkg/status.d"
for package in ./*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root" --keep-directory-symlink
  # Scanners read the packages of an image without a package manager here.
  dpkg-deb -f "$package" >"$root/var/lib/dpkg/status.d/$(dpkg-deb -f "$package" Package)"
done

# The bundle that the package's trigger would make.
mkdir -p "$root/etc/ssl/certs"
find "$root/usr/share/ca-certificates" -name '*.crt' | LC_ALL=C sort | xargs cat >"$root/etc/ssl/certs/ca-certificates.crt"

# Licenses stay; nothing that runs does, nor what only other programs read.
find "$root/usr/share/doc" -type f ! -name copyright -delete
rm -rf "$root"/usr/share/ca-certificates "$root"/usr/lib/*/gconv "$root"/usr/share/man "$root"/usr/share/lintian \
  "$root"/usr/share/gdb "$root"/usr/share/gcc "$root"/usr/share/base-files "$root"/usr/share/info "$root"/usr/share/dict \
  "$root"/etc/ca-certificates "$root"/etc/update-motd.d "$root"/etc/profile.d "$root"/etc/dpkg "$root"/etc/default \
  "$root"/var/backups "$root"/var/cache "$root"/var/local "$root"/var/lib/systemd
find "$root/usr/bin/" "$root/usr/sbin/" -mindepth 1 -delete
find "$root" -depth -type d -empty ! -path "$root/usr/bin" ! -path "$root/usr/sbin" -delete

printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\nnonroot:x:65532:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
mkdir -p "$root/tmp" "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/app"
chmod 1777 "$root/tmp"
rm -rf "$downloads"
