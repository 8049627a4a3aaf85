-- Takes the asks of one decision from the store: all of them or none (the arithmetic
-- is that of gcra.go). Redis runs a script alone, so nothing comes between.
--
-- A Lua number is exact only up to 2^53, and nanoseconds since 1970 are more than
-- that: every time and every length is a pair of seconds and nanoseconds.
--
-- KEYS   the keys, each once
-- ARGV   the time as a pair, or two empty strings: this server's clock
--        for each key:  debt that is given back and when it was made (two pairs); longest
--                       debt in milliseconds
--        the number of asks
--        for each ask:  number of its key, what it owes (a pair), what may be owed at
--                       once (a pair), 1 if it is only to be looked at, units wanted
--                       ahead, what a unit owes (a pair), the limit in words
-- reply  1 if all pass, 0 if one does not, -1 if a key's value is none of ours (then
--        the number of that key follows the time); the time (a pair); each key's TAT
--        before the asks (a pair); the units that each ask got ahead
local NANO = 1000000000
local SLACK = 2000 -- milliseconds that a key outlives its debt, for a clock that steps back
local SHARE = 4    -- the part of what is free that one replica may take ahead: 1/4
local LATEST = 6900000000 -- seconds: maxTime + maxOwed of gcra.go

local function carry(s, n)
  local rest = math.fmod(n, NANO)
  return s + (n - rest) / NANO, rest
end

local function later(as, an, bs, bn)
  return as > bs or (as == bs and an > bn)
end

local i = 0
local function arg()
  i = i + 1
  return ARGV[i]
end
local function number()
  return tonumber(arg())
end

local now_s, now_n = number(), number()
if not now_s then
  local t = redis.call('TIME')
  now_s, now_n = tonumber(t[1]), tonumber(t[2]) * 1000
end

local had_s, had_n, tat_s, tat_n, about, changed, keep = {}, {}, {}, {}, {}, {}, {}
for k = 1, #KEYS do
  local back_s, back_n, since_s, since_n = number(), number(), number(), number()
  keep[k] = number()
  local s, n = 0, 0
  local value = redis.pcall('GET', KEYS[k])
  if value then
    if type(value) == 'string' then
      s, n, about[k] = string.match(value, '^(%d+)%.(%d%d%d%d%d%d%d%d%d) (.*)$')
      s, n = tonumber(s or ''), tonumber(n or '')
    end
    if type(value) ~= 'string' or not s or s > LATEST then
      local left = redis.call('PTTL', KEYS[k])
      if left < 0 or left > keep[k] then
        redis.call('PEXPIRE', KEYS[k], keep[k])
      end
      return {-1, now_s, now_n, k}
    end
    if back_s > 0 or back_n > 0 then
      -- Time has paid off a part of it (docs/design/shared-quotas.md says why just this).
      if later(now_s, now_n, since_s, since_n) then
        back_s, back_n = back_s - (now_s - since_s), back_n - (now_n - since_n)
        if back_n < 0 then
          back_s, back_n = back_s - 1, back_n + NANO
        end
        back_s, back_n = carry(back_s, back_n)
        if back_s < 0 then
          back_s, back_n = 0, 0
        end
      end
      s, n = s - back_s, n - back_n
      if n < 0 then
        s, n = s - 1, n + NANO
      end
      if s < 0 then
        s, n = 0, 0
      end
      changed[k] = true
    end
  end
  had_s[k], had_n[k], tat_s[k], tat_n[k] = s, n, s, n
end

local asks = number()
local all = 1
local ahead = {}
for a = 1, asks do
  local k = number()
  local owes_s, owes_n, most_s, most_n = number(), number(), number(), number()
  local peek = arg() == '1'
  local ask = {key = k, want = number(), s = number(), n = number(), most_s = most_s, most_n = most_n, peek = peek}
  about[k] = arg()
  local s, n = tat_s[k], tat_n[k]
  if later(now_s, now_n, s, n) then
    s, n = now_s, now_n
  end
  s, n = carry(s + owes_s, n + owes_n)
  if later(s, n, carry(now_s + most_s, now_n + most_n)) then
    all = 0
  elseif not peek then
    tat_s[k], tat_n[k] = s, n
    changed[k] = true
  end
  ahead[a] = ask
end

local got = {}
for a = 1, asks do
  local ask = ahead[a]
  local k = ask.key
  got[a] = 0
  if all == 1 and ask.want > 0 and not ask.peek then
    local s, n = tat_s[k], tat_n[k]
    if later(now_s, now_n, s, n) then
      s, n = now_s, now_n
    end
    local free = (now_s + ask.most_s - s) + (now_n + ask.most_n - n) / NANO
    local units = math.min(ask.want, math.floor(free / (ask.s + ask.n / NANO) / SHARE + 1e-6))
    if units > 0 then
      s, n = carry(s + ask.s * units, n + ask.n * units)
      if not later(s, n, carry(now_s + ask.most_s, now_n + ask.most_n)) then
        tat_s[k], tat_n[k], got[a], changed[k] = s, n, units, true
      end
    end
  end
end

local reply = {all, now_s, now_n}
for k = 1, #KEYS do
  if all == 0 then -- what was given back stays given, nothing is taken
    tat_s[k], tat_n[k] = had_s[k], had_n[k]
    if redis.call('PTTL', KEYS[k]) == -1 then
      redis.call('PEXPIRE', KEYS[k], keep[k])
    end
  end
  if changed[k] and about[k] then
    local left = math.max((tat_s[k] - now_s) * 1000 + math.ceil((tat_n[k] - now_n) / 1000000), 0) + SLACK
    redis.call('SET', KEYS[k], string.format('%d.%09d %s', tat_s[k], tat_n[k], about[k]), 'PX', string.format('%d', left))
  end
  reply[#reply + 1] = had_s[k]
  reply[#reply + 1] = had_n[k]
end
for a = 1, asks do
  reply[#reply + 1] = got[a]
end
return reply
