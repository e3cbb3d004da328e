-- The second level, one step at a time. KEYS[1]: the clock, a hash. KEYS[2]: an answer.
--
-- The clock counts changes. Its field of a slot says at which count something of the slot changed last, `floor` below
-- which count nothing is true any more. An answer holds where none of its slots changed after the count
-- at which the reading for it began.
local clock, floor, run = unpack(redis.call('HMGET', KEYS[1], 'clock', 'floor', 'run'))
local action = ARGV[1]

local function time()
  local now = redis.call('TIME')
  return now[1] * 1000000 + now[2]
end

local function put(field, value)
  redis.call('HSET', KEYS[1], field, string.format('%.0f', value))
end

clock, floor = tonumber(clock), tonumber(floor)
if not clock or not floor then -- new, evicted or flushed: later than everything that was ever stored
  clock = time()
  floor = clock
  put('clock', clock)
  put('floor', floor)
end

local function holds(began, slots)
  if began < floor then return false end
  for slot in string.gmatch(slots, '%d+') do
    local changed = redis.call('HGET', KEYS[1], slot)
    if changed and tonumber(changed) > began then return false end
  end
  return true
end

local function text(number)
  return string.format('%.0f', number)
end

if action == 'hello' then -- RUN MISSED
  -- Another server, or an older state of this one: changes may be lost, and what they made untrue is still there.
  if run ~= ARGV[2] or ARGV[3] == '1' then
    clock = math.max(clock + 1, time())
    put('clock', clock)
    put('floor', clock)
    redis.call('HSET', KEYS[1], 'run', ARGV[2])
    redis.call('PUBLISH', ARGV[4], ARGV[5])
  end
  return text(clock)
elseif action == 'beat' then -- fails where a change could not be told
  redis.call('HSET', KEYS[1], 'beat', ARGV[2])
  return text(clock)
elseif action == 'get' then
  local answer = redis.call('HMGET', KEYS[2], 'began', 'slots', 'data')
  if answer[1] and answer[2] and answer[3] and holds(tonumber(answer[1]), answer[2]) then
    return {text(clock), redis.call('PTTL', KEYS[2]), answer[3]}
  end
  return {text(clock)}
elseif action == 'set' then -- BEGAN SLOTS TTL_MS DATA
  if holds(tonumber(ARGV[2]), ARGV[3]) then
    redis.call('DEL', KEYS[2])
    redis.call('HSET', KEYS[2], 'began', ARGV[2], 'slots', ARGV[3], 'data', ARGV[5])
    redis.call('PEXPIRE', KEYS[2], ARGV[4])
  end
  return text(clock)
else -- changed SLOTS CHANNEL MESSAGE
  clock = clock + 1
  put('clock', clock)
  for slot in string.gmatch(ARGV[2], '%d+') do put(slot, clock) end
  redis.call('PUBLISH', ARGV[3], ARGV[4])
  return text(clock)
end
