# METADATA
# title: Formats
# description: |
#   What the `format` of a JSON Schema means here. OPA's own checks of formats are
#   looser than their names (its e-mail takes "Ann <ann@example.com>"), so these are
#   asked besides.
package authz.formats

# METADATA
# description: Whether text is of a format. A format that is not known here says nothing.
valid(format, text) if {
	regex.match(patterns[format], text)
	_beyond(format, text)
}

valid(format, _) if not patterns[format]

# METADATA
# description: The formats that are checked here.
known := object.keys(patterns)

# METADATA
# description: |
#   What a pattern can say of each format. E-mail: the addresses that people have, RFC
#   5321 without quoted local parts, comments and address literals; the domain has at
#   least two labels. With idn-email there may be letters, marks and digits of any
#   script (RFC 6531). URI: RFC 3986 with a scheme. Date and time: RFC 3339.
patterns := {
	"email": `^[A-Za-z0-9!#$%&'*+/=?^_{|}~\x60-]+(\.[A-Za-z0-9!#$%&'*+/=?^_{|}~\x60-]+)*@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])$`,
	"idn-email": `^[\p{L}\p{M}\p{N}!#$%&'*+/=?^_{|}~\x60-]+(\.[\p{L}\p{M}\p{N}!#$%&'*+/=?^_{|}~\x60-]+)*@([\p{L}\p{N}]([\p{L}\p{M}\p{N}-]{0,61}[\p{L}\p{M}\p{N}])?\.)+\p{L}([\p{L}\p{M}\p{N}-]{0,61}[\p{L}\p{M}\p{N}])$`,
	"uuid": `^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$`,
	"date": `^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$`,
	"time": `^([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`,
	"date-time": `^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`,
	"uri": `^[A-Za-z][A-Za-z0-9+.-]*:(//([A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*(@([A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)?(\[[0-9A-Fa-f:.]+\])?(:[0-9]*)?(/([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?|([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)(\?([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?(#([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?$`,
	"ipv4": `^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])$`,
	"hostname": `^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`,
}

# What a pattern cannot say.
_beyond("email", text) if {
	count(text) <= 254
	[local, _] := split(text, "@")
	count(local) <= 64
}

# The bounds of RFC 5321 are octets.
_beyond("idn-email", text) if {
	_octets(text) <= 254
	[local, _] := split(text, "@")
	_octets(local) <= 64
}

_beyond("date", text) if _day(text)

_beyond("date-time", text) if _day(substring(text, 0, 10))

_beyond("hostname", text) if count(text) <= 253

# An http URI without a host is none (RFC 9110, 4.2.1).
_beyond("uri", text) if not regex.match(`^[Hh][Tt][Tt][Pp][Ss]?:`, text)

_beyond("uri", text) if regex.match(`^[^:]+://([^/?#@]*@)?[^/?#@:][^/?#@]*([/?#]|$)`, text)

_beyond(format, _) if format in {"uuid", "time", "ipv4"}

_octets(text) := count(hex.encode(text)) / 2

# The 30th of February matches the pattern.
_day(text) if {
	[year, month, day] := [to_number(trim_left(part, "0")) | some part in split(concat("", ["1", text]), "-")]
	day <= _days(year - 10000, month)
}

_days(year, 2) := 29 if _leap(year)

else := 28

_days(_, month) := 30 if month in {4, 6, 9, 11}

_days(_, month) := 31 if month in {1, 3, 5, 7, 8, 10, 12}

_leap(year) if {
	year % 4 == 0
	year % 100 != 0
}

_leap(year) if year % 400 == 0
