-- The same as gcra.hpp, for all limits of one request at once and by Redis' own clock: microseconds.
-- KEYS: one a limit. ARGV: interval (with its fraction), burst for each. Gives allowed, remaining, wait, full for each; nothing is
-- taken from one limit where another refuses.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer, tats, all = {}, {}, true
for i, key in ipairs(KEYS) do
  local interval, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local tolerance = interval * (burst - 1)
  local tat = math.min(tonumber(redis.call('GET', key) or 0), now + tolerance + interval)
  local from = tat < now - interval / 2 and now or tat
  local allowed = from - tolerance <= now
  if allowed then tats[i] = from + interval else all = false end
  local ahead = math.max(0, (allowed and tats[i] or tat) - now)
  answer[#answer + 1] = allowed and 1 or 0
  answer[#answer + 1] = math.max(0, math.floor((tolerance + interval - ahead) / interval))
  answer[#answer + 1] = allowed and 0 or math.ceil(from - tolerance - now)
  answer[#answer + 1] = math.ceil(ahead)
end
if all then
  for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.3f', tats[i]), 'PX', math.max(1, math.ceil((tats[i] - now) / 1000) + 1000))
  end
end
return answer
