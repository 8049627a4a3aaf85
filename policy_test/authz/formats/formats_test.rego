package authz.formats_test

import data.authz.formats
import data.kit

long := concat("", [x | some _ in numbers.range(1, 65); x := "a"])

# Two octets each.
umlauts := concat("", [x | some _ in numbers.range(1, 33); x := "ä"])

test_valid[note] if {
	some format, texts in {
		"email": ["a@b.co", "first.last+tag@sub.example.com", "x_y-z@example-one.org", "o'neil@example.ie", "1@2.xyz", "a`b@c.de"],
		"idn-email": ["a@b.co", "jörg@bücher.example", "用户@例子.中国", sprintf("%s@b.co", [substring(umlauts, 0, 32)])],
		"uuid": ["0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e", "0B0E7B9A-6A5D-4B0E-9D5C-0F6C1B2A3D4E"],
		"date": ["2026-01-31", "2024-02-29", "2000-02-29", "2026-04-30", "0001-12-31"],
		"time": ["00:00:00Z", "23:59:60+14:00", "12:30:00.5z"],
		"date-time": ["2026-02-28T12:00:00Z", "2026-02-28t12:00:00.123456789-08:00"],
		"uri": ["https://example.com/a?b=c#d", "mailto:a@b.co", "urn:isbn:1", "http://[2001:db8::1]:8080/", "https://u:p@h/%20", "HTTP://h", "file:///etc/hosts"],
		"ipv4": ["0.0.0.0", "255.255.255.255", "192.0.2.10"],
		"hostname": ["example.com", "a", "xn--bcher-kva.example"],
		"unknown-format": ["anything"],
	}
	some text in texts
	note := sprintf("%s %s", [format, text])
	formats.valid(format, text)
}

test_invalid[note] if {
	some format, texts in {
		"email": [
			"", "a", "@b.co", "a@", "a@b", "a@@b.co", "a@b@c.de", ".a@b.co", "a.@b.co", "a..b@c.de", "a@-b.co", "a@b-.co", "a@b..co",
			"Ann <a@b.co>", "a b@c.de", "a@b.c", "a@[192.0.2.1]", `"a b"@c.de`, "a@b.co\n", "a@b.co,c@d.ef", "ä@b.co", sprintf("%s@b.co", [long]),
			sprintf("a@%s.%s.%s.%s.%s.co", [substring(long, 0, 60), substring(long, 0, 60), substring(long, 0, 60), substring(long, 0, 60), substring(long, 0, 60)]),
		],
		"idn-email": [
			"", "ä", "ä@ö", "ä@@ö.de", "ä ö@b.co", "Jörg <j@b.co>", "ä@b.co\n", "ä\u200b@b.co", "ä\u00a0@b.co", "😀@b.co", "ä@-ö.de",
			sprintf("%s@b.co", [umlauts]), sprintf("ä@%s.%s.%s.%s.co", [substring(umlauts, 0, 32), substring(umlauts, 0, 32), substring(umlauts, 0, 32), substring(umlauts, 0, 32)]),
		],
		"uuid": ["", "1", "0b0e7b9a6a5d4b0e9d5c0f6c1b2a3d4e", "{0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e}", "0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4g", "0b0e7b9a-6a5d-4b0e-9d5c-0f6c1b2a3d4e\n"],
		"date": ["", "2026-1-1", "2026-02-29", "1900-02-29", "2026-04-31", "2026-13-01", "2026-00-10", "20260101", "2026-01-32"],
		"time": ["24:00:00Z", "12:00:00", "12:00Z", "12:60:00Z"],
		"date-time": ["2026-02-30T12:00:00Z", "2026-02-28 12:00:00Z", "2026-02-28T12:00:00", "2026-02-28"],
		"uri": ["", "example.com", "//example.com", "/a", "https://a b", "https://example.com/%zz", "1http://a", "https://exa\\mple.com", "http://<script>", "http://", "https:///a", "http:a", "HTTPS://?a", "http://u@/", "http://:80/"],
		"ipv4": ["256.0.0.1", "1.2.3", "01.2.3.4", "1.2.3.4.5", "::1"],
		"hostname": ["", "-a", "a-.b", "a..b", "a_b", concat(".", [long, long])],
	}
	some text in texts
	note := sprintf("%s %s", [format, text])
	not formats.valid(format, text)
}

test_known if kit.same(formats.known, {"email", "idn-email", "uuid", "date", "time", "date-time", "uri", "ipv4", "hostname"})
