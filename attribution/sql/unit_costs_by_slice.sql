-- Grain: one row per group, GPU and its shares.
create table group_slice as
select gpu.group_id, gpu.uuid, slice.unit, slice.position, gpu.share_pico as piece_pico, slice.slices::hugeint as weight,
    dense_rank() over (order by gpu.group_id, gpu.uuid) as piece
from group_gpu_shared as gpu
join gpu_share as slice using (uuid);
