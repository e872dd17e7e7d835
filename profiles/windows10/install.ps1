# Runs once after the installation of Windows: installs the remaining drivers, and a task that requests a
# script from the monitor at every log-on and runs it, in this guest and in each runner made from its disk.
$ErrorActionPreference = 'Stop'
$config = (Get-Volume -FileSystemLabel CI-RUNNERS).DriveLetter + ':'
$drivers = (Get-Volume | Where-Object FileSystemLabel -like 'virtio-win*').DriveLetter + ':'
pnputil /add-driver "$drivers\*.inf" /subdirs /install

New-Item -ItemType Directory -Force C:\ci-runners | Out-Null
Copy-Item "$config\boot.ps1" C:\ci-runners\
$arguments = '-NoProfile -ExecutionPolicy Bypass -File C:\ci-runners\boot.ps1'
$action = New-ScheduledTaskAction -Execute powershell.exe -Argument $arguments
$trigger = New-ScheduledTaskTrigger -AtLogOn -User runner
$settings = New-ScheduledTaskSettingsSet -ExecutionTimeLimit ([TimeSpan]::Zero)
Register-ScheduledTask ci-runners -Action $action -Trigger $trigger -Settings $settings `
    -User runner -RunLevel Highest | Out-Null
Start-ScheduledTask ci-runners
