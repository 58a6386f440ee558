//! Where connections come from.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Addresses that are counted together: an IPv4 address alone, or the /64 of an IPv6 one, which is what one site
/// usually has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place(u64);

impl Place {
    /// This machine.
    pub const LOCALHOST: Place = Place(Ipv4Addr::LOCALHOST.to_bits() as u64);

    /// The place that an address belongs to.
    #[must_use]
    pub fn of(address: IpAddr) -> Place {
        match address.to_canonical() {
            // No IPv6 address in use begins with 32 zero bits, so the two kinds do not meet.
            IpAddr::V4(address) => Place(address.to_bits().into()),
            IpAddr::V6(Ipv6Addr::LOCALHOST) => Place::LOCALHOST,
            IpAddr::V6(address) => Place(u64::try_from(address.to_bits() >> 64).expect("half of 128 bits")),
        }
    }

    /// Whether it is this machine, under any of its addresses for itself.
    #[must_use]
    pub fn is_loopback(self) -> bool {
        self.0 >> 24 == 127
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u32::try_from(self.0) {
            Ok(address) => Ipv4Addr::from_bits(address).fmt(f),
            Err(_) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(self.0) << 64)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One site is one place, however many addresses it has.
    #[test]
    fn one_site_is_one_place() {
        let place = |text: &str| Place::of(text.parse().unwrap());
        assert_eq!(place("192.0.2.1"), place("::ffff:192.0.2.1"));
        assert_ne!(place("192.0.2.1"), place("192.0.2.2"));
        assert_eq!(place("2001:db8:1:2::1"), place("2001:db8:1:2:ffff::9"));
        assert_ne!(place("2001:db8:1:2::1"), place("2001:db8:1:3::1"));
        assert_eq!((place("::1"), place("127.0.0.1")), (Place::LOCALHOST, Place::LOCALHOST));
        assert_eq!(place("192.0.2.1").to_string(), "192.0.2.1");
        assert_eq!(place("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
        assert!(place("127.1.2.3").is_loopback() && place("::1").is_loopback());
        assert!(!place("192.0.2.1").is_loopback() && !place("7f00::1").is_loopback());
    }
}
